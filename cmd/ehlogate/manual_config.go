package main

import (
	"regexp"
	"strings"
)

var (
	// A key, which may be commented out.
	keyLine     = regexp.MustCompile(`^(#?[a-z_]+) *= *(.*)$`)
	sectionLine = regexp.MustCompile(`^\[+[a-z_]+\]+`)
)

// configPage is ehlogate.toml(5), made of the example config: each section and
// each key is described by the comment above it and the one behind it.
func configPage(example string) string {
	p := newPage("ehlogate.toml", 5, "the config of ehlogate")
	p.heading("##", "DESCRIPTION")
	var comment []string // the lines above
	take := func() string {
		text := strings.Join(comment, "\n")
		comment = nil
		return text
	}
	begun := false
	for line := range strings.Lines(example) {
		line = strings.TrimRight(line, " \n")
		// "#key = value" is a key, "# key = value" is prose.
		key := keyLine.FindStringSubmatch(line)
		switch {
		case key != nil:
			value, behind := cutComment(key[2])
			about := strings.TrimSpace(take() + "\n" + behind)
			if about == "" {
				about = kind(value)
			}
			p.define("**"+literal(key[1])+"** = "+literal(value), about)
		case sectionLine.MatchString(line):
			p.heading("##", sectionLine.FindString(line))
			p.text(take())
		case strings.HasPrefix(line, "#"):
			comment = append(comment, strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		case line == "" && !begun:
			p.text(take())
			p.text(`It is TOML: "words" stand in quotes, [] around a list, and a section lasts until the next.
Below is every key with the value that it has in /usr/share/doc/ehlogate/examples/ehlogate.toml;
one with a # before it is not set there, and the value is an example or the default.`)
			p.heading("##", "BEFORE ALL SECTIONS")
			begun = true
		case line == "" && len(comment) > 0:
			comment = append(comment, "") // a paragraph of what follows
		}
	}
	p.heading("##", "FILES")
	p.define("/etc/ehlogate/ehlogate.toml", "Read if no other is named with -c.")
	p.seeAlso("ehlogate(8)", "ehlogate.list(5)", "access(5)", "postconf(5)")
	return p.String()
}

// cutComment divides what stands behind "=".
func cutComment(s string) (value, comment string) {
	quoted := false
	for i, c := range s {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted:
			return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:])
		}
	}
	return strings.TrimSpace(s), ""
}

// kind says what sort of value it is, for a key that nobody described.
func kind(value string) string {
	switch {
	case strings.HasPrefix(value, "["):
		return "A list of strings."
	case strings.HasPrefix(value, `"`):
		return "A string."
	case value == "true", value == "false":
		return "true or false."
	}
	return "A number."
}
