// Package lazyregexp has regular expressions that are compiled when they are first used. Most of those of ehlogate describe
// mistakes and files that hardly any process ever sees; to compile them all takes 10 ms at each start, and 2 MB as long as the
// daemon runs.
package lazyregexp

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// Regexp is a regular expression. It is safe for concurrent use.
type Regexp struct {
	pattern string
	compile func() *regexp.Regexp
}

// inTest makes New panic on a pattern that is invalid, as regexp.MustCompile does.
var inTest = strings.HasSuffix(os.Args[0], ".test")

// New returns the regular expression of a pattern, which must be valid.
func New(pattern string) *Regexp {
	r := &Regexp{pattern, sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })}
	if inTest {
		r.compile()
	}
	return r
}

// String returns the pattern. The methods below are those of [regexp.Regexp].
func (r *Regexp) String() string { return r.pattern }

func (r *Regexp) Match(b []byte) bool { return r.compile().Match(b) }

func (r *Regexp) MatchString(s string) bool { return r.compile().MatchString(s) }

func (r *Regexp) FindSubmatch(b []byte) [][]byte { return r.compile().FindSubmatch(b) }

func (r *Regexp) FindString(s string) string { return r.compile().FindString(s) }

func (r *Regexp) FindStringSubmatch(s string) []string { return r.compile().FindStringSubmatch(s) }

func (r *Regexp) FindStringSubmatchIndex(s string) []int {
	return r.compile().FindStringSubmatchIndex(s)
}

func (r *Regexp) FindAllString(s string, n int) []string { return r.compile().FindAllString(s, n) }

func (r *Regexp) FindAllStringIndex(s string, n int) [][]int {
	return r.compile().FindAllStringIndex(s, n)
}

func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.compile().FindAllStringSubmatch(s, n)
}

func (r *Regexp) ReplaceAllString(s, with string) string {
	return r.compile().ReplaceAllString(s, with)
}

func (r *Regexp) ReplaceAllStringFunc(s string, with func(string) string) string {
	return r.compile().ReplaceAllStringFunc(s, with)
}
