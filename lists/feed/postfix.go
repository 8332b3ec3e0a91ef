package feed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/listfile"
)

// table reads the text of a Postfix lookup table: rules, each a pattern and a
// result, of which the result may stand on further lines that begin with a
// blank, with comments and empty lines anywhere (cidr_table(5), access(5)).
//
// To be on the list is to have a result, whatever it is: one table is kept of
// whom to reject, another of keywords to hide. DUNNO is the exception, by which
// Postfix is to go on as if nothing had been found: a hole. Where some results
// let clients in and others do not, the two cannot both be what the list is
// about.
//
// What Postfix finds first counts; it never gets to see other rules about the
// same, and they are passed over here, too.
type table struct {
	*listfile.Lines
	pattern func(word) []*listfile.Item // none if it is bad, which was said

	rule    word // that waits for its result
	items   []*listfile.Item
	line    int    // of the rule
	text    []byte // of that line, if the result is on another
	waiting bool

	welcome, other int // the lines of the first result of each kind
}

// read gives the entries of all rules of which first says that Postfix would
// ever get to them.
func (t *table) read(first func(items []*listfile.Item, hole bool) bool) {
	for t.Next() {
		w := tail(t.Text, 0)
		switch {
		case w.text == "" || w.text[0] == '#':
		case w.at == 0:
			t.missing()
			t.rule, t.line, t.text = next(t.Text, 0, blanks), t.Line, nil
			t.items = t.pattern(t.rule)
			result := tail(t.Text, t.rule.end())
			if t.waiting = len(t.items) > 0; result.text == "" {
				t.text = bytes.Clone(t.Text)
			} else if t.waiting {
				t.result(result, first)
			}
		case t.waiting:
			t.result(w, first)
		case t.line == 0:
			t.Fail(0, w.at, "a line that begins with a blank goes on with the one before, and there is none", "delete the blank")
		}
	}
	t.missing()
}

// missing complains about a rule that has no result.
func (t *table) missing() {
	if t.waiting {
		t.Problems.Add(listfile.Problem{File: t.Name, Line: t.line, Col: 1, Width: len(t.rule.text), Text: string(t.text),
			Msg: "a pattern without a result", Hint: "write PATTERN RESULT, as in 192.0.2.1 REJECT"})
	}
	t.waiting = false
}

// result completes a rule.
func (t *table) result(w word, first func([]*listfile.Item, bool) bool) {
	t.waiting = false
	words := fields(w.text)
	hole := strings.EqualFold(words[0], "DUNNO")
	if !hole && !t.agrees(w) || !first(t.items, hole) {
		return
	}
	for _, it := range t.items {
		it.Hole = hole
		if len(words) > 1 {
			it.Note = w.text
		}
		if t.text != nil {
			it.StandsIn(t.line, t.text)
		}
		t.Yield(it)
	}
}

// agrees: all results so far let clients in, or none does.
func (t *table) agrees(w word) bool {
	mine, others := &t.other, t.welcome
	if welcome(w.text) {
		mine, others = &t.welcome, t.other
	}
	if *mine == 0 {
		*mine = t.Line
	}
	if others == 0 {
		return true
	}
	fail(t.Lines, w, fmt.Sprintf("the result is %q here, and of the other sort in line %d: which of them is on the list?", w.text, others),
		"split the table, or write DUNNO as the result of what is not on the list")
	return false
}

// welcome: a result by which clients are let in, or are offered STARTTLS.
func welcome(result string) bool {
	result = strings.ToLower(result)
	words := fields(result, ',')
	switch {
	case len(words) == 0:
		return false
	case slices.Contains([]string{"ok", "relay", "permit"}, words[0]), strings.HasPrefix(words[0], "permit_"):
		return true
	case strings.Trim(result, "0123456789") == "":
		return true // which is OK, says access(5)
	}
	return slices.Contains(words, "silent-discard") && !slices.Contains(words, "starttls")
}
