package doctor

import (
	"slices"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/lazyregexp"
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

// balanced returns what is inside the braces that s begins with, and the length of all of it; 0 if s begins with none,
// or they are not closed.
func balanced(s string) (inner string, n int) {
	level := 0
	for i := range len(s) {
		switch {
		case s[i] == '{':
			level++
		case level == 0:
			return "", 0
		case s[i] == '}':
			if level--; level == 0 {
				return s[1:i], i + 1
			}
		}
	}
	return "", 0
}

// splitList splits a list as Postfix does: at white space and commas, but not within braces.
func splitList(s string) (out []string) {
	start, level := 0, 0
	for i, c := range s + "," {
		switch {
		case c == '{':
			level++
		case c == '}':
			level = max(0, level-1)
		case i == len(s) || level == 0 && strings.ContainsRune(", \t\r\n", c):
			if start < i {
				out = append(out, s[start:i])
			}
			start = i + 1
		}
	}
	return out
}

// splitEntries splits a list setting. What belongs to a keyword stays behind it.
func splitEntries(value string) []string {
	out := splitList(value)
	for i := len(out) - 2; i >= 0; i-- {
		if takesArgument.MatchString(out[i]) {
			out[i] += " " + out[i+1]
			out = slices.Delete(out, i+1, i+2)
		}
	}
	return out
}

// takesArgument matches the words of a restriction list that say something about the next one.
var takesArgument = lazyregexp.New(`(?i)^(check_|reject_rbl_client|reject_rhsbl_|permit_dnswl_client|permit_rhswl_client|(warn_if_reject|sleep)$)`)

// insideUnion returns what is in a unionmap.
func insideUnion(item string) (inner string, ok bool) {
	rest, ok := strings.CutPrefix(item, "unionmap:")
	inner, n := balanced(rest)
	return inner, ok && n > 0 && n == len(rest)
}

func unionOf(tables []string) string { return "unionmap:{" + strings.Join(tables, ", ") + "}" }
