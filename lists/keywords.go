package lists

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Keywords is a set of EHLO keywords (RFC 5321 section 4.1.1.1) that can be hidden from a client. STARTTLS is not among
// them: an [Action] hides it.
type Keywords uint32

// keywordNames are the keywords that Postfix can hide (postconf(5), smtpd_discard_ehlo_keywords), but for starttls, in the
// order of the bits. The last is no keyword: Postfix then logs no line about what it hides.
var keywordNames = [...]string{"8bitmime", "auth", "chunking", "dsn", "enhancedstatuscodes", "etrn", "pipelining", "requiretls", "size",
	"smtputf8", "verp", "vrfy", "xclient", "xforward", "silent-discard"}

// SilentDiscard makes Postfix log no line about what it hides.
const SilentDiscard Keywords = 1 << (len(keywordNames) - 1)

// KeywordNames returns the names of all keywords that a list can hide.
func KeywordNames() []string { return slices.Clone(keywordNames[:]) }

// ParseKeyword returns the set with one keyword, in any case.
func ParseKeyword(name string) (Keywords, error) {
	i := slices.Index(keywordNames[:], strings.ToLower(name))
	if i < 0 {
		return 0, fmt.Errorf("unknown EHLO keyword %q", name)
	}
	return 1 << i, nil
}

// MustParseKeyword is ParseKeyword for names in the code. It panics on an unknown one.
func MustParseKeyword(name string) Keywords {
	k, err := ParseKeyword(name)
	if err != nil {
		panic(err)
	}
	return k
}

// Has reports whether k has one of the keywords of other.
func (k Keywords) Has(other Keywords) bool { return k&other != 0 }

// All iterates over the names of the keywords, in lower case.
func (k Keywords) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, name := range keywordNames {
			if k&(1<<i) != 0 && !yield(name) {
				return
			}
		}
	}
}

// String returns the names separated by ", ", as mail servers and operators write them; "" for none.
func (k Keywords) String() string { return strings.Join(slices.Collect(k.All()), ", ") }

// AppendTo appends the names to out, each behind a separator if out has more than its first n bytes. It allocates only if
// out is too small.
func (k Keywords) AppendTo(out []byte, n int, separator string) []byte {
	for name := range k.All() {
		if len(out) > n {
			out = append(out, separator...)
		}
		out = append(out, name...)
	}
	return out
}
