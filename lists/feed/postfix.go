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
	pattern func(word) (it listfile.Item, ok bool) // ok is false if it is invalid, which was reported
	// isDirective reports whether a line is no rule, such as endif, by its first word. nil: there are none, and no negated
	// patterns.
	isDirective func(first word) bool
	// useDirective is called for such a line. The result has all of it.
	useDirective func(r *logicalLine)
	// isReached returns false for a rule that is never reached.
	isReached func(r *logicalLine, exception bool) bool
	// useRule is called for a rule that is reached, in place of yielding its entry; nil: it is yielded.
	useRule   func(r *logicalLine)
	isPostfix bool // else Sendmail, which takes any encoding and has no EHLO keywords
	isRule    bool // a rule was read

	// rule is the rule or directive that was read last. Each line has the same one, which allocates nothing.
	rule      logicalLine
	isPending bool // it may not be complete
}

// logicalLine is a rule or a directive that may be in several lines of the file.
type logicalLine struct {
	item        listfile.Item // of a rule
	isDirective bool
	pattern     word
	result      word
	line        int    // of the pattern
	text        []byte // of that line
	at          int    // the line in which the result begins
	atText      []byte // the text of that line
	isLatin1    bool   // a line of it is no UTF-8
}

// readRules yields the entries of all rules that are reached.
func (t *table) readRules() {
	for t.Next() {
		at := skipBytes(t.Text, 0, blanks)
		switch {
		case at == len(t.Text) || t.Text[at] == '#':
		case at == 0:
			t.finishPending()
			t.readRule()
		case t.isPending:
			t.rule.add(t.Lines, restOfLine(t.Text, at))
		case !t.isRule:
			t.SkipLine(0, at, "continuation line without a line before it", "remove the blank at its beginning")
		}
	}
	t.finishPending()
	t.checkCounted()
}

// readRule reads the line with the pattern of a rule. If the rule ends with that line, it is finished.
func (t *table) readRule() {
	t.isRule = true
	pattern := t.cutPattern()
	switch {
	case t.HadMark:
		t.SkipLine(0, len(pattern.text), "byte order mark, which makes the pattern behind it invalid", "save the file without it")
		return
	case t.isDirective != nil && t.isDirective(pattern):
		text := bytes.Clone(t.Text)
		t.rule = logicalLine{isDirective: true, pattern: pattern, result: restOfLine(text, 0), line: t.Line, text: text, at: t.Line, atText: text}
		t.isPending = true
		return
	}
	it, ok := t.pattern(pattern)
	if !ok {
		return
	}
	r := &t.rule
	*r = logicalLine{item: it, pattern: pattern, result: t.cutResult(pattern.endOffset()), line: t.Line, at: t.Line, isLatin1: t.IsLatin1}
	if t.isPending = r.result.text == "" || t.MayContinue(); t.isPending {
		r.text = bytes.Clone(t.Text)
		r.atText = r.text
	} else {
		t.finishRule(r)
	}
}

// cutPattern returns the pattern of the present line. Between the ! of a negated one and the rest may be blanks.
func (t *table) cutPattern() word {
	if t.isDirective == nil || t.Text[0] != '!' {
		return nextWord(t.Text, 0, blanks)
	}
	end := nextWord(t.Text, skipBytes(t.Text, 0, "!"+blanks), blanks).endOffset()
	return restOfLine(t.Text[:end], 0)
}

// cutResult returns the rest of the present line. As a rule it is the result of the rule before, and allocates nothing.
func (t *table) cutResult(at int) word {
	at = skipBytes(t.Text, at, blanks)
	if text := bytes.TrimRight(t.Text[at:], blanks); string(text) == t.last.text {
		return word{t.last.text, at}
	}
	return restOfLine(t.Text, at)
}

// add adds a continuation line.
func (r *logicalLine) add(l *listfile.Lines, w word) {
	r.isLatin1 = r.isLatin1 || l.IsLatin1
	if r.result.text != "" {
		r.result.text += " " + w.text
		return
	}
	r.result, r.at, r.atText = w, l.Line, bytes.Clone(l.Text)
}

// finishPending finishes the rule before the present line, and reports problems at its own place.
func (t *table) finishPending() {
	if !t.isPending {
		return
	}
	t.isPending = false
	r := &t.rule
	if r.result.text == "" {
		t.SkipProblem(diag.Problem{File: t.Name, Line: r.line, Col: 1, Width: len(r.pattern.text), Text: string(r.text),
			Msg: "missing result after the pattern", Hint: "write PATTERN RESULT, as in 192.0.2.1 REJECT"})
		return
	}
	line, text := t.Line, t.Text
	t.Line, t.Text = r.at, r.atText
	t.finishRule(r)
	t.Line, t.Text = line, text
}

func (t *table) finishRule(r *logicalLine) {
	switch {
	case r.isLatin1 && t.isPostfix:
		t.SkipLine(r.result.at, len(r.result.text), "rule is not UTF-8, which Postfix does not use", "write it in UTF-8")
	case r.isDirective:
		t.useDirective(r)
	case t.useRule == nil:
		t.yieldRule(r, t.judge(r.result))
	case t.isReached(r, false):
		t.useRule(r)
	}
}

// yieldRule yields the entry of a rule with this outcome.
func (t *table) yieldRule(r *logicalLine, verdict outcome) {
	if verdict == refused || !t.isReached(r, verdict == hides) {
		return
	}
	r.item.Exception = verdict == hides
	if strings.ContainsAny(r.result.text, blanks) {
		r.item.Note = r.result.text
	}
	if r.at != r.line {
		r.item.SetLine(r.line, r.text)
	}
	t.Yield(&r.item)
}
