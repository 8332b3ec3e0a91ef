package feed

import (
	"bytes"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
)

// table reads the text of a lookup table of Postfix or Sendmail: rules, each a pattern and a result. In Postfix the
// result may be continued in lines that begin with a blank; comments and empty lines may be anywhere (cidr_table(5),
// access(5)). [results] has what a result means.
//
// The first match counts. Rules that it never reaches are ignored here, too.
type table struct {
	results
	pattern func(word) []*listfile.Item // none: it is invalid, which was reported
	// isReached returns false for a rule that is never reached.
	isReached func(items []*listfile.Item, result word, exception bool) bool
	isPostfix bool // else Sendmail, which takes any encoding and has no EHLO keywords

	rule     word // whose result is expected
	items    []*listfile.Item
	line     int    // of the rule
	text     []byte // of that line, if the result is in another
	pending  bool
	isLatin1 bool // a line of the rule is no UTF-8
}

// readRules yields the entries of all rules that are reached.
func (t *table) readRules() {
	for t.Next() {
		w := restOfLine(t.Text, 0)
		switch {
		case w.text == "" || w.text[0] == '#':
		case w.at == 0:
			t.failPending()
			t.rule, t.line, t.text, t.isLatin1 = nextWord(t.Text, 0, blanks), t.Line, nil, t.IsLatin1
			t.items = t.pattern(t.rule)
			result := restOfLine(t.Text, t.rule.endOffset())
			if t.pending = len(t.items) > 0; result.text == "" {
				t.text = bytes.Clone(t.Text)
			} else if t.pending {
				t.finishRule(result)
			}
		case t.pending:
			t.isLatin1 = t.isLatin1 || t.IsLatin1
			t.finishRule(w)
		case t.line == 0:
			t.SkipLine(0, w.at, "continuation line without a line before it", "remove the blank at its beginning")
		}
	}
	t.failPending()
	t.checkCounted()
}

// failPending reports a rule without a result.
func (t *table) failPending() {
	if t.pending {
		t.SkipProblem(diag.Problem{File: t.Name, Line: t.line, Col: 1, Width: len(t.rule.text), Text: string(t.text),
			Msg: "missing result after the pattern", Hint: "write PATTERN RESULT, as in 192.0.2.1 REJECT"})
	}
	t.pending = false
}

func (t *table) finishRule(result word) {
	t.pending = false
	if t.isLatin1 && t.isPostfix {
		t.SkipLine(result.at, len(result.text), "rule is not UTF-8, which Postfix does not use", "write it in UTF-8")
		return
	}
	t.yieldRule(result, t.judge(result))
}

// yieldRule yields the entries of a rule with this result.
func (t *table) yieldRule(result word, verdict outcome) {
	if verdict == refused || !t.isReached(t.items, result, verdict == hides) {
		return
	}
	for _, it := range t.items {
		it.Exception = verdict == hides
		if strings.ContainsAny(result.text, blanks) {
			it.Note = result.text
		}
		if t.text != nil {
			it.SetLine(t.line, t.text)
		}
		t.Yield(it)
	}
}
