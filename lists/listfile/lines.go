package listfile

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxLine is the longest line of a list file in bytes, its end included.
const MaxLine = 4096

// readSize is how many bytes are read at a time; more than MaxLine.
const readSize = 1 << 16

// Grammar reads files of another kind than list files. It is compared with
// others, so its values must be comparable (==).
type Grammar interface {
	// Parse reads a file and gives its entries to each, with the contract of
	// the function Parse. Lines does what all grammars have in common.
	Parse(r io.Reader, name string, rules Rules, each func(*Item) error) error
}

// Lines goes through the lines of a file on behalf of a grammar. It refuses
// what is no text, notes what is wrong with its place, and passes on the
// entries that are as the list demands:
//
//	for l := NewLines(r, name, rules, each); l.Next(); {
//		l.Give(&Item{...}) or l.Fail(...)
//	}
//	return l.End()
type Lines struct {
	Name string // of the file
	Text []byte // the present line without its end; good until Next
	Line int    // its number, from 1
	// Whole: the grammar sees by itself when the end of a file is missing, so
	// that the last line may be without an end.
	Whole    bool
	Problems Problems

	rules Rules
	each  func(*Item) error
	br    *bufio.Reader
	said  bool  // there was a line with something on it
	cut   bool  // the last line has no end
	err   error // of r or each
}

// NewLines begins. The other arguments are those of Parse.
func NewLines(r io.Reader, name string, rules Rules, each func(*Item) error) *Lines {
	return &Lines{Name: name, rules: rules, each: each, br: bufio.NewReaderSize(r, readSize)}
}

// Next goes on to the next line that is text. It is false at the end, and when
// there is no use in going on.
func (l *Lines) Next() bool {
	for l.err == nil && !l.cut {
		line, err := l.br.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return false
		}
		l.Line++
		long := len(line) > MaxLine
		if long {
			l.Text = bytes.Clone(line[:80])
			l.Fail(0, 0, fmt.Sprintf("the line is longer than %d bytes", MaxLine-1), "is this a list file?")
			for err == bufio.ErrBufferFull {
				_, err = l.br.ReadSlice('\n')
			}
		}
		if err != nil && err != io.EOF {
			l.err = fmt.Errorf("reading %s: %w", l.Name, err)
			return false
		}
		l.cut = err == io.EOF
		if !long && l.take(line) {
			return true
		}
	}
	return false
}

// utf8BOM is what some editors put before the first line.
const utf8BOM = "\xef\xbb\xbf"

// take makes line the present one, if it is text.
func (l *Lines) take(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if l.Line == 1 {
		line = bytes.TrimPrefix(line, []byte(utf8BOM))
	}
	l.Text = line
	if i := notText(line); i >= 0 {
		l.Fail(i, 1, fmt.Sprintf("the byte 0x%02x is not text", line[i]), "list files are UTF-8 text, one entry a line")
		return false
	}
	l.said = l.said || len(bytes.TrimLeft(line, " \t")) > 0
	return true
}

// notText finds the first byte that is not text, or -1.
func notText(line []byte) int {
	for i := 0; i < len(line); {
		if c := line[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// Fail notes a problem with width bytes at offset off of the present line.
func (l *Lines) Fail(off, width int, msg, hint string) {
	if len(l.Problems.First) == MaxProblems { // a hundred million of them cost no copies of the line
		l.Problems.Total++
		return
	}
	l.Problems.Add(Problem{File: l.Name, Line: l.Line, Col: off + 1, Width: width,
		Text: string(l.Text), Msg: msg, Hint: hint})
}

// Yield passes an entry on, if it is as the list demands; else that is a
// problem. The entry is in the present line unless StandsIn was said of it.
func (l *Lines) Yield(it *Item) {
	if it.Line == 0 {
		it.StandsIn(l.Line, l.Text)
	}
	if l.CheckRules(it) && l.err == nil {
		l.err = l.each(it)
	}
}

// Finish gives what Parse is to return.
func (l *Lines) Finish() error {
	switch {
	case l.err != nil:
		return l.err
	case l.cut && !l.Whole:
		l.Fail(len(l.Text), 1, "the last line has no end, as in a half-finished write", "end it with a newline")
	case !l.said && l.Problems.Total == 0:
		l.Problems.Add(Problem{File: l.Name,
			Msg:  "the file is empty, as in a half-finished write",
			Hint: "for an empty list on purpose write a comment into it"})
	}
	return l.Problems.Err()
}
