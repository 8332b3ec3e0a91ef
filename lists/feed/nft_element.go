package feed

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/diag"
)

// Statements of a set and of an element that have no effect on which addresses match.
var (
	setStatements     = []string{"size", "flags", "timeout", "gc-interval", "policy", "auto-merge", "comment", "counter", "quota", "limit", "last", "ct"}
	elementStatements = []string{"timeout", "expires", "comment", "counter", "quota", "limit", "last", "ct"}
)

// typesOf4 and typesOf6 are the types of sets of addresses.
var (
	typesOf4 = []string{"type ipv4_addr", "typeof ip saddr", "typeof ip daddr"}
	typesOf6 = []string{"type ipv6_addr", "typeof ip6 saddr", "typeof ip6 daddr"}
)

// parseType parses the type of the elements of a set.
func (r *nft) parseType() {
	s := nameOf(r.words, 0)
	r.set.isTyped, r.set.is4, r.set.is6 = true, slices.Contains(typesOf4, s), slices.Contains(typesOf6, s)
	if !r.set.is4 && !r.set.is6 {
		failAt(r.Lines, r.words[0], fmt.Sprintf("%q is not supported: the elements are not, or not only, addresses", s), listAlone)
	}
}

// yieldElement parses an address, a prefix or a range and its statements.
func (r *nft) yieldElement() {
	if r.set.isTyped && !r.set.is4 && !r.set.is6 {
		return // reported at the type
	}
	key := r.words[0]
	if len(r.words) > 1 && !slices.Contains(elementStatements, r.words[1].text) {
		r.failElement(r.words[1], fmt.Sprintf("unexpected %q after an element", r.words[1].text), "elements are single addresses, prefixes and ranges, with a comma between them")
		return
	}
	from, to, err := parseSpan(key.text)
	if e := syntaxOf(err); err != nil && e.NoClient && !r.set.is4 {
		r.SkipProblem(r.problem(key, e.Msg, e.Hint))
		return
	} else if err != nil {
		r.failElement(key, e.Msg, e.Hint)
		return
	}
	if !r.set.isTyped { // a script need not have the type
		r.set.isTyped, r.set.is4, r.set.is6 = true, from.Is4(), from.Is6()
	}
	if r.set.is4 != from.Is4() {
		if !r.set.isReported {
			r.failElement(key, fmt.Sprintf("%s cannot be an element of its set, which has addresses of the other family", key.text), "compare it with the type of the set")
		}
		r.set.isReported = true
		return
	}
	r.set.isFilled = true
	it := newSpan(key, from, to)
	if i := slices.IndexFunc(r.words, func(w word) bool { return w.text == "comment" }); i > 0 && i+1 < len(r.words) {
		it.Note = strings.Trim(r.words[i+1].text, `"`)
	}
	if r.text != nil {
		it.SetLine(r.line, r.text)
	}
	r.Yield(it)
}

// failElement reports a problem with a word of an element, or with the first word of an element in several lines.
func (r *nft) failElement(w word, msg, hint string) {
	if r.text == nil {
		failAt(r.Lines, w, msg, hint)
		return
	}
	r.Problems.Add(r.problem(w, msg, hint))
}

func (r *nft) problem(w word, msg, hint string) diag.Problem {
	line, text := r.Line, r.Text
	if r.text != nil {
		w, line, text = r.words[0], r.line, r.text
	}
	return diag.Problem{File: r.Name, Line: line, Col: w.at + 1, Width: len(w.text), Text: string(text), Msg: msg, Hint: hint}
}
