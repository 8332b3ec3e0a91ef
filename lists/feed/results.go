package feed

import (
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// outcome is what a result of a table means for the list.
type outcome int

const (
	counts  outcome = iota
	hides           // it is an exception: the program looks no further, and does nothing
	refused         // it cannot be told, which was reported
)

// results judges the results of a table.
//
// Those that an operator chose count. If none were chosen, every result counts but DUNNO, by which Postfix continues as if
// there were no match; of EHLO keywords, as in smtpd_discard_ehlo_keyword_address_maps, those that have STARTTLS do. It is
// an error if some results let clients in and others do not: it is not known which of them the list is about.
type results struct {
	*listfile.Lines
	chosen  []string // in lower case; empty: none
	nothing string   // the result by which the program continues as if there were no match; "": none

	acceptLine, otherLine int             // of the first result of each kind
	accept, other         string          // their first words
	last                  judged          // as a rule the next result is the same
	keywords              bool            // the results are EHLO keywords; Postfix ignores other words
	counted               bool            // there was a result that counts
	others                []string        // up to maxOthers first words of results that do not
	seen                  map[string]bool // first words, while others is not full
}

const maxOthers = 5

// judged is a result, and what it means.
type judged struct {
	text      string
	action    string // what it begins with, if it is an action of access(5): a result with another text behind that means the same
	outcome   outcome
	isKeyword bool // it is a list of EHLO keywords
}

// means reports whether another result means the same as j.
func (j *judged) means(result string) bool {
	if result == j.text {
		return true
	}
	rest, ok := strings.CutPrefix(result, j.action)
	return ok && j.action != "" && (rest == "" || isOneOf(rest[0], separators))
}

func newResults(l *listfile.Lines, f Filtered) results {
	return results{Lines: l, chosen: strings.Fields(f.Results), nothing: "dunno", seen: make(map[string]bool)}
}

// judge returns what a result means.
func (r *results) judge(result word) outcome {
	if r.last.outcome == refused || !r.last.means(result.text) {
		r.last = judged{}
		r.last.outcome = r.judgeNew(result)
	}
	r.last.text = result.text
	return r.last.outcome
}

func (r *results) judgeNew(result word) outcome {
	end := endOfAction(result.text)
	first := strings.ToLower(strings.TrimLeft(result.text[:end], separators))
	if isAction(first) && first != "" && !slices.Contains(ehloKeywords, first) {
		r.last.action = result.text[:end]
	}
	isChosen := slices.Contains(r.chosen, first)
	if keywords := keywordsOf(first, result.text); keywords != nil {
		r.last.isKeyword = true
		hidesTLS := slices.Contains(keywords, "starttls")
		isChosen = slices.ContainsFunc(keywords, func(k string) bool { return slices.Contains(r.chosen, k) })
		if len(r.chosen) == 0 {
			if before := max(r.acceptLine, r.otherLine); before > 0 {
				r.failMixed(result, before, "starttls")
				return refused
			}
			r.keywords, isChosen = true, hidesTLS == r.Suppresses()
		}
	} else if len(r.chosen) == 0 && first != r.nothing && !r.keywords {
		if !r.isOfOneKind(result, first) {
			return refused
		}
		isChosen = true
	}
	if isChosen {
		r.counted = true
		return counts
	}
	if len(r.others) < maxOthers && !r.seen[first] {
		r.seen[first] = true
		r.others = append(r.others, first)
	}
	return hides
}

// checkCounted reports that no result counts, as after a typing mistake in the config.
func (r *results) checkCounted() {
	if len(r.chosen) > 0 && !r.counted && len(r.others) > 0 {
		r.Problems.Add(diag.Problem{File: r.Name, Msg: fmt.Sprintf("no result begins with one of results = %q of the list; there are %q", r.chosen, r.others),
			Hint: "correct results in the config"})
	}
}

// isOfOneKind returns false, and reports it, if some results so far let clients in and others do not.
func (r *results) isOfOneKind(result word, first string) bool {
	mine, others, kind := &r.otherLine, r.acceptLine, &r.other
	if isAccept(first) {
		mine, others, kind = &r.acceptLine, r.otherLine, &r.accept
	}
	if *mine == 0 {
		*mine, *kind = r.Line, first
	}
	if others == 0 {
		return true
	}
	// A list that suppresses is rarely meant to have the clients that the table lets in.
	meant := r.accept
	if r.Suppresses() {
		meant = r.other
	}
	r.failMixed(result, others, meant)
	return false
}

// failMixed reports a result of another kind than the one in a line before it, and proposes to count the meant one.
func (r *results) failMixed(result word, line int, meant string) {
	failAt(r.Lines, result, fmt.Sprintf("result %q and the one in line %d are of different kinds: which of them is on the list?", result.text, line),
		fmt.Sprintf("set results for the list in the config, as in results = [%q]: then only these count", meant))
}

// separators are between the words of a result.
const separators = blanks + ",:"

// endOfAction returns where the first word of a result ends.
func endOfAction(result string) int {
	at := 0
	for at < len(result) && isOneOf(result[at], separators) {
		at++
	}
	for at < len(result) && !isOneOf(result[at], separators) {
		at++
	}
	return at
}

// isAccept reports whether a result that begins so lets clients in: by access(5) a number does, unless it has three digits
// and begins with 4 or 5.
func isAccept(first string) bool {
	if strings.Trim(first, "0123456789") == "" {
		return len(first) != 3 || first[0] != '4' && first[0] != '5'
	}
	return slices.Contains([]string{"ok", "relay", "permit"}, first) || strings.HasPrefix(first, "permit_")
}

// ehloKeywords are those that Postfix can hide (smtpd_discard_ehlo_keywords of postconf(5)). It ignores other words.
var ehloKeywords = []string{"8bitmime", "auth", "etrn", "pipelining", "size", "verp", "vrfy", "xclient", "xforward", "starttls", "enhancedstatuscodes",
	"dsn", "smtputf8", "chunking", "requiretls", "silent-discard"}

// keywordsOf returns the words of a result, in lower case, if it is a list of EHLO keywords, and not an action of access(5) with
// a text; else nil. first is its first word.
func keywordsOf(first, result string) []string {
	isKeyword := slices.Contains(ehloKeywords, first)
	if !isKeyword && isAction(first) {
		return nil
	}
	words := splitWords(strings.ToLower(result), ',')
	if !isKeyword && !slices.Contains(words, "starttls") {
		return nil
	}
	return words
}

// isAction reports whether a result that begins so is an action of access(5).
func isAction(first string) bool {
	switch first {
	case "reject", "dunno", "defer", "discard", "hold", "info", "warn", "filter", "prepend", "redirect", "bcc", "error", "skip", "quarantine":
		return true
	}
	return isAccept(first) || strings.HasPrefix(first, "reject_") || strings.HasPrefix(first, "defer_") || strings.Trim(first, "0123456789") == ""
}
