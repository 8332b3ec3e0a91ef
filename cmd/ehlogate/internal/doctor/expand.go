package doctor

import (
	"cmp"
	"strconv"
	"strings"
)

// Limits of an expansion, so that a setting that names itself comes to an end.
const (
	maxExpansions = 10_000
	maxExpanded   = 64 << 10
	maxDepth      = 100
)

// expander replaces $name, ${name}, ${name?yes:no} and ${{a} == {b} ? {yes} :
// {no}} as Postfix does, mac_expand(3). What it cannot read stays as it is.
type expander struct {
	lookup func(name string) string
	count  int
}

func (x *expander) expand(s string, depth int) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxExpanded; {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		i++
		switch c := s[i]; {
		case c == '$':
			b.WriteByte('$')
			i++
		case c == '{' || c == '(':
			body, n := balanced(s[i:])
			if n == 0 {
				b.WriteByte('$')
				continue
			}
			b.WriteString(x.braced(body, depth))
			i += n
		default:
			n := nameLen(s[i:])
			if n == 0 {
				b.WriteByte('$')
				continue
			}
			b.WriteString(x.value(s[i:i+n], depth))
			i += n
		}
	}
	return b.String()
}

// value gives the expanded value of a name.
func (x *expander) value(name string, depth int) string {
	if x.count++; x.count > maxExpansions || depth > maxDepth {
		return ""
	}
	return x.expand(x.lookup(name), depth+1)
}

// braced expands what stands between ${ and }.
func (x *expander) braced(body string, depth int) string {
	if depth > maxDepth {
		return ""
	}
	body = strings.TrimSpace(body)
	if strings.HasPrefix(body, "{") {
		return x.relation(body, depth)
	}
	n := nameLen(body)
	if n == len(body) {
		return x.value(body, depth)
	}
	op, rest := body[n], body[n+1:]
	if n == 0 || op != '?' && op != ':' {
		return "${" + body + "}"
	}
	yes := x.value(body[:n], depth) != ""
	if op == ':' {
		yes = !yes
	}
	return x.choice(yes, rest, depth)
}

// choice expands {yes} : {no}, or a plain text for yes alone.
func (x *expander) choice(yes bool, text string, depth int) string {
	var other string
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") {
		inner, n := balanced(trimmed)
		if n > 0 {
			text = inner
			if rest, ok := strings.CutPrefix(strings.TrimSpace(trimmed[n:]), ":"); ok {
				other = rest
				if o := strings.TrimSpace(rest); strings.HasPrefix(o, "{") {
					other, _ = balanced(o)
				}
			}
		}
	}
	if !yes {
		text = other
	}
	return x.expand(text, depth+1)
}

// relation expands {a} OP {b} ? {yes} : {no}.
func (x *expander) relation(body string, depth int) string {
	left, n := balanced(body)
	rest := strings.TrimSpace(body[n:])
	open := strings.IndexByte(rest, '{')
	if n == 0 || open < 0 {
		return "${" + body + "}"
	}
	op := strings.TrimSuffix(strings.TrimSpace(rest[:open]), "level")
	right, m := balanced(rest[open:])
	rest = strings.TrimSpace(rest[open+m:])
	choice, ok := strings.CutPrefix(rest, "?")
	if m == 0 || !ok {
		return "${" + body + "}"
	}
	c := compare(x.expand(left, depth+1), x.expand(right, depth+1))
	yes, ok := map[string]bool{"==": c == 0, "!=": c != 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op]
	if !ok {
		return "${" + body + "}"
	}
	return x.choice(yes, choice, depth)
}

// compare compares numbers as numbers, also with dots as in a
// compatibility_level, and all else as text.
func compare(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		x, errX := strconv.ParseUint(part(as, i), 10, 32)
		y, errY := strconv.ParseUint(part(bs, i), 10, 32)
		if errX != nil || errY != nil {
			return strings.Compare(a, b)
		}
		if x != y {
			return cmp.Compare(x, y)
		}
	}
	return 0
}

func part(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return "0"
}

// balanced gives what stands in the braces or parentheses that s begins with,
// and the length of all of it; 0 if they are not closed.
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

func nameLen(s string) int {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return i
		}
	}
	return len(s)
}

// words splits a list as Postfix does: at white space and commas, but not within braces.
func words(s string) []string {
	var out []string
	start, level := -1, 0
	for i := range len(s) {
		c := s[i]
		if level == 0 && (c == ' ' || c == ',' || c == '\t' || c == '\r' || c == '\n') {
			if start >= 0 {
				out = append(out, s[start:i])
				start = -1
			}
			continue
		}
		if start < 0 {
			start = i
		}
		switch c {
		case '{':
			level++
		case '}':
			level = max(0, level-1)
		}
	}
	if start >= 0 {
		out = append(out, s[start:])
	}
	return out
}
