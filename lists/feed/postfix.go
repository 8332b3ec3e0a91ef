package feed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// table reads the text of a Postfix lookup table: rules, each a pattern and a result. The result may be continued in
// lines that begin with a blank; comments and empty lines may be anywhere (cidr_table(5), access(5)).
//
// A pattern with any result is on the list: some tables say which clients to reject, others which keywords to hide. DUNNO,
// by which Postfix continues as if there were no match, makes an exception. A table in which some results let clients
// in and others do not is an error: it is not known which of them the list is about.
//
// The first match of Postfix counts. Rules that it never reaches are ignored here, too.
type table struct {
	*listfile.Lines
	pattern func(word) []*listfile.Item // none: it is invalid, which was reported

	rule    word // whose result is expected
	items   []*listfile.Item
	line    int    // of the rule
	text    []byte // of that line, if the result is in another
	pending bool

	acceptLine, otherLine int // of the first result of each kind
}

// readRules yields the entries of all rules for which isReached returns true.
func (t *table) readRules(isReached func(items []*listfile.Item, exception bool) bool) {
	for t.Next() {
		w := restOfLine(t.Text, 0)
		switch {
		case w.text == "" || w.text[0] == '#':
		case w.at == 0:
			t.failPending()
			t.rule, t.line, t.text = nextWord(t.Text, 0, blanks), t.Line, nil
			t.items = t.pattern(t.rule)
			result := restOfLine(t.Text, t.rule.endOffset())
			if t.pending = len(t.items) > 0; result.text == "" {
				t.text = bytes.Clone(t.Text)
			} else if t.pending {
				t.finishRule(result, isReached)
			}
		case t.pending:
			t.finishRule(w, isReached)
		case t.line == 0:
			t.Fail(0, w.at, "continuation line without a line before it", "remove the blank at its beginning")
		}
	}
	t.failPending()
}

// failPending reports a rule without a result.
func (t *table) failPending() {
	if t.pending {
		t.Problems.Add(diag.Problem{File: t.Name, Line: t.line, Col: 1, Width: len(t.rule.text), Text: string(t.text),
			Msg: "missing result after the pattern", Hint: "write PATTERN RESULT, as in 192.0.2.1 REJECT"})
	}
	t.pending = false
}

// finishRule yields the entries of a rule.
func (t *table) finishRule(result word, isReached func([]*listfile.Item, bool) bool) {
	t.pending = false
	words := splitWords(result.text)
	exception := strings.EqualFold(words[0], "DUNNO")
	if !exception && !t.checkResult(result) || !isReached(t.items, exception) {
		return
	}
	for _, it := range t.items {
		it.Exception = exception
		if len(words) > 1 {
			it.Note = result.text
		}
		if t.text != nil {
			it.SetLine(t.line, t.text)
		}
		t.Yield(it)
	}
}

// checkResult returns false, and reports it, if some results so far let clients in and others do not.
func (t *table) checkResult(result word) bool {
	mine, others := &t.otherLine, t.acceptLine
	if isAccept(result.text) {
		mine, others = &t.acceptLine, t.otherLine
	}
	if *mine == 0 {
		*mine = t.Line
	}
	if others == 0 {
		return true
	}
	failAt(t.Lines, result, fmt.Sprintf("result %q and the one in line %d are opposites: which of them is on the list?", result.text, others),
		"split the table, or write DUNNO as the result of what is not on the list")
	return false
}

// isAccept reports whether a result lets clients in, or offers them STARTTLS.
func isAccept(result string) bool {
	result = strings.ToLower(result)
	words := splitWords(result, ',')
	switch {
	case len(words) == 0:
		return false
	case slices.Contains([]string{"ok", "relay", "permit"}, words[0]), strings.HasPrefix(words[0], "permit_"):
		return true
	case strings.Trim(result, "0123456789") == "":
		return true // OK, by access(5)
	}
	return slices.Contains(words, "silent-discard") && !slices.Contains(words, "starttls")
}
