package listedit

import (
	"bytes"
	"slices"
	"strings"
)

// Hunk is a change of lines that follow each other. Lines are without their line feed; a carriage return belongs to them.
type Hunk struct {
	Line   int      `json:"line"`             // of the first line, in the text before the change, from 1
	Before []string `json:"before,omitempty"` // none: lines are inserted before Line
	After  []string `json:"after,omitempty"`  // none: lines are cut
}

// byteOrderMark is what some editors write before the first line. It is no part of it.
const byteOrderMark = "\ufeff"

// document is the text of a file as lines.
type document struct {
	mark  string // byteOrderMark, or ""
	lines []string
	ended bool // the last line ends in a line feed
}

func parseDocument(text []byte) (d document) {
	rest, marked := bytes.CutPrefix(text, []byte(byteOrderMark))
	if marked {
		d.mark = byteOrderMark
	}
	if d.ended = true; len(rest) == 0 {
		return d
	}
	d.lines = strings.Split(string(rest), "\n")
	last := len(d.lines) - 1
	if d.ended = d.lines[last] == ""; d.ended {
		d.lines = d.lines[:last]
	}
	return d
}

func (d document) text() []byte {
	text := d.mark + strings.Join(d.lines, "\n")
	if d.ended && len(d.lines) > 0 {
		text += "\n"
	}
	return []byte(text)
}

// apply changes a text. The hunks are in order, and fit it.
func apply(text []byte, hunks []Hunk) []byte {
	d := parseDocument(text)
	for _, h := range slices.Backward(hunks) {
		d.lines = slices.Replace(d.lines, h.Line-1, h.Line-1+len(h.Before), h.After...)
	}
	return d.text()
}

// invert returns the hunks that take hunks back.
func invert(hunks []Hunk) []Hunk {
	out, shift := make([]Hunk, len(hunks)), 0
	for i, h := range hunks {
		out[i] = Hunk{h.Line + shift, h.After, h.Before}
		shift += len(h.After) - len(h.Before)
	}
	return out
}

// lineEnd returns what ends a line of a text besides the line feed.
func lineEnd(text []byte) string {
	if bytes.HasSuffix(text, []byte("\r\n")) {
		return "\r"
	}
	return ""
}

// countLines returns how many lines hunks cut and add.
func countLines(hunks []Hunk) (cut, added int) {
	for _, h := range hunks {
		cut, added = cut+len(h.Before), added+len(h.After)
	}
	return cut, added
}
