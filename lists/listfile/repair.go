package listfile

import (
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/lazyregexp"
)

func (r *repair) apply(line string) string {
	if r.rewrite == nil {
		return r.mistake.ReplaceAllString(line, r.write)
	}
	groups := r.mistake.FindStringSubmatch(line)
	return strings.Replace(line, groups[0], r.rewrite(groups), 1)
}

// maxHint is the length in bytes of the longest line that is shown in a hint.
const maxHint = 100

// forms is the hint for what is none of them.
const forms = "an entry is an address, a prefix, a range, a host name, .DOMAIN or helo:NAME"

// explain improves the message and the hint of a problem with a line, by the mistakes in the table.
func (p *parser) explain(problem *diag.Problem, line string) {
	repaired, isFirst := line, true
	for i := range repairs {
		r := &repairs[i]
		if !r.mistake.MatchString(repaired) {
			continue
		}
		if r.msg != "" && isFirst {
			problem.Msg, problem.Hint = r.msg, r.hint
		}
		if r.write == "" && r.rewrite == nil {
			return
		}
		repaired, isFirst = strings.TrimSpace(r.apply(repaired)), false
	}
	if hint := p.hintFor(line, repaired); hint != "" {
		problem.Hint = hint
	}
	if problem.Hint == "" {
		problem.Hint = forms
	}
	for _, m := range proposed.FindAllStringSubmatch(problem.Hint, -1) {
		if ok, _ := p.try(m[1]); !ok {
			problem.Hint = forms
		}
	}
}

// proposed finds the entries that a hint says to write.
var proposed = lazyregexp.New(`\b(?:write|or) ([^\s,A-Z]*[0-9:][^\s,A-Z]*|\.[^\s,A-Z]+)(?:,|\s|$)`)

// hintFor returns a hint for a line, or "". What it says to write is valid.
func (p *parser) hintFor(line, repaired string) string {
	candidates := []string{repaired}
	if at := strings.IndexAny(repaired, " \t"); at > 0 && !strings.Contains(repaired, "#") {
		first, rest := repaired[:at], strings.TrimSpace(repaired[at:])
		if ok, _ := p.try(rest); ok && strings.ContainsAny(rest, ".:") {
			return "write one entry a line"
		} else if !strings.HasPrefix(rest, "until") && !strings.HasPrefix(first, "helo:") {
			candidates = append(candidates, first+" # "+rest)
		}
	}
	for _, text := range candidates {
		if text == line || len(text) > maxHint || isBareWord(text) {
			continue
		}
		ok, hint := p.try(text)
		switch {
		case ok && strings.HasPrefix(text, "."):
			return "for all names below the domain write " + text
		case ok:
			return "write " + text
		case strings.HasPrefix(hint, "write "):
			return hint
		}
	}
	return ""
}

// isBareWord reports whether the entry of a line would be a name without a domain. It is a word of another language then,
// as in "deny ip host 192.0.2.1", and no host is meant by it.
func isBareWord(text string) bool {
	entry, _, _ := strings.Cut(text, " ")
	return !strings.HasPrefix(entry, "#") && !strings.ContainsAny(entry, ".:")
}

// try parses text as a line of the list, and returns the hint of the parser if it refuses it.
func (p *parser) try(text string) (ok bool, hint string) {
	q := parser{Lines: &Lines{Line: 2, rules: p.rules, each: func(*Item) error { return nil }}, isTry: true}
	if q.setLine([]byte(text)) && q.parseLine() {
		q.Yield(&q.item)
	}
	if q.Problems.Total == 0 {
		return true, ""
	}
	return false, q.Problems.First[0].Hint
}
