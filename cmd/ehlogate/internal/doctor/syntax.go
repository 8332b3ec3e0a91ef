package doctor

import (
	"slices"
	"strings"

	"ehlogate/lists/diag"
)

// parseSettings understands NAME = VALUE lines, as in main.cf, the files of tables, and what postconf and Exim print.
func parseSettings(name, text string, problems *diag.Problems) map[string]string {
	m := make(map[string]string)
	for _, l := range logicalLines(text) {
		key, value, ok := strings.Cut(l.text, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			problems.Add(l.problem(name, "this is not NAME = VALUE"))
			continue
		}
		m[key] = strings.TrimSpace(value)
	}
	return m
}

// line is a logical line: with the lines that continue it.
type line struct {
	num  int
	text string
}

func (l line) problem(name, msg string) diag.Problem {
	return diag.Problem{File: name, Line: l.num, Text: l.text, Msg: msg}
}

// logicalLines joins lines as Postfix and Sendmail do: a line that begins with white space continues the one before.
// Comments and empty lines between them do not matter.
func logicalLines(text string) []line {
	var lines []line
	num := 0
	for l := range strings.Lines(text) {
		num++
		trimmed := strings.TrimSpace(l)
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case (l[0] == ' ' || l[0] == '\t') && len(lines) > 0:
			lines[len(lines)-1].text += " " + trimmed
		default:
			lines = append(lines, line{num, trimmed})
		}
	}
	return lines
}

// balanced returns what is inside the braces or parentheses that s begins with, and the length of all of it; 0 if
// they are not closed.
func balanced(s string) (inner string, n int) {
	if s == "" {
		return "", 0
	}
	closing := map[byte]byte{'{': '}', '(': ')'}[s[0]]
	level := 0
	for i := range len(s) {
		switch s[i] {
		case s[0]:
			level++
		case closing:
			if level--; level == 0 {
				return s[1:i], i + 1
			}
		}
	}
	return "", 0
}

// splitList splits a list as Postfix does: at white space and commas, but not within braces.
func splitList(s string) (out []string) {
	start, level := -1, 0
	for i := range len(s) {
		switch {
		case level == 0 && strings.IndexByte(", \t\r\n", s[i]) >= 0:
			if start >= 0 {
				out = append(out, s[start:i])
				start = -1
			}
			continue
		case s[i] == '{':
			level++
		case s[i] == '}':
			level = max(0, level-1)
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		out = append(out, s[start:])
	}
	return out
}

// splitEntries splits a list setting. What belongs to a keyword stays behind it.
func splitEntries(value string) []string {
	out := splitList(value)
	for i := len(out) - 2; i >= 0; i-- {
		if takesArgument(out[i]) {
			out[i] += " " + out[i+1]
			out = slices.Delete(out, i+1, i+2)
		}
	}
	return out
}

// takesArgument reports whether a word of a restriction list says something about the next one.
func takesArgument(word string) bool {
	word = strings.ToLower(word)
	for _, prefix := range []string{"check_", "reject_rbl_client", "reject_rhsbl_", "permit_dnswl_client", "permit_rhswl_client"} {
		if strings.HasPrefix(word, prefix) {
			return true
		}
	}
	return word == "warn_if_reject" || word == "sleep"
}

// insideUnion returns what is in a unionmap.
func insideUnion(item string) (inner string, ok bool) {
	rest, ok := strings.CutPrefix(item, "unionmap:")
	inner, n := balanced(rest)
	return inner, ok && n > 0 && n == len(rest)
}

func unionOf(tables []string) string { return "unionmap:{" + strings.Join(tables, ", ") + "}" }
