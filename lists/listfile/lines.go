package listfile

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
)

// MaxLine is the length in bytes of the longest line of a list file, its end included.
const MaxLine = 4096

// readSize is how many bytes are read at a time; more than MaxLine.
const readSize = 1 << 16

// Grammar parses files in another format than that of list files. Its values are compared, so they must be comparable (==).
type Grammar interface {
	// Parse has the contract of the function Parse. Lines does what all formats have in common.
	Parse(r io.Reader, name string, rules Rules, each func(*Item) error) error
}

// Lines reads the lines of a file for a grammar. It refuses what is not text, collects problems with their place, and
// passes on the entries that obey the rules of the list:
//
//	for l := NewLines(r, name, rules, each); l.Next(); {
//		l.Yield(&Item{...}) or l.Fail(...)
//	}
//	return l.Finish()
type Lines struct {
	Name string // of the file
	Text []byte // the present line without its end, until Next
	Line int    // its number, from 1
	// IsLatin1 reports that the present line was no UTF-8, and was read as Latin-1.
	IsLatin1 bool
	// HadMark reports that a byte order mark was removed from the present line.
	HadMark bool
	// Whole is true if the grammar itself finds out that the end of a file is missing, so that the last line may lack
	// a newline.
	Whole    bool
	Problems diag.Problems

	rules    Rules
	skipped  diag.Problems // for Rules.Findings
	entries  int
	each     func(*Item) error
	br       *bufio.Reader
	nonBlank bool  // there was a line with text
	cut      int   // the number of the last line if it has no newline; 0: it has one
	err      error // of the reader or each
}

// NewLines begins a file. The arguments are those of Parse.
func NewLines(r io.Reader, name string, rules Rules, each func(*Item) error) *Lines {
	return &Lines{Name: name, rules: rules, each: each, br: bufio.NewReaderSize(r, readSize)}
}

// Next advances to the next line that is text. It returns false at the end of the file, and after an error.
func (l *Lines) Next() bool {
	for l.err == nil && l.cut == 0 {
		line, err := l.br.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			return false
		}
		l.Line++
		long := len(line) > MaxLine
		if long {
			l.Text = bytes.Clone(line[:80])
			l.Fail(0, 0, fmt.Sprintf("line is longer than %d bytes", MaxLine-1), "is this a list file?")
			for err == bufio.ErrBufferFull {
				_, err = l.br.ReadSlice('\n')
			}
		}
		if err != nil && err != io.EOF {
			l.err = fmt.Errorf("cannot read %s: %w", l.Name, err)
			return false
		}
		if err == io.EOF {
			l.cut = l.Line
		}
		if !long && l.setLine(line) {
			return true
		}
	}
	return false
}

// MayContinue reports whether lines behind the present one may be a continuation of it: the next one begins with a blank, or
// it is a comment or empty, and another may follow.
func (l *Lines) MayContinue() bool {
	next, err := l.br.Peek(1)
	return err == nil && bytes.IndexByte([]byte(" \t#\r\n"), next[0]) >= 0
}

// byteOrderMark is what some editors write before the first line.
const byteOrderMark = "\xef\xbb\xbf"

// setLine makes line the present one, and returns whether it is text.
func (l *Lines) setLine(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if l.HadMark = l.Line == 1 && bytes.HasPrefix(line, []byte(byteOrderMark)); l.HadMark {
		line = line[len(byteOrderMark):]
	}
	l.Text = line
	isPlain := isPrintable(line)
	if l.IsLatin1 = !isPlain && l.rules.Findings != nil && !utf8.Valid(line); l.IsLatin1 {
		line = decodeLatin1(line)
		l.Text = line
	}
	if !isPlain {
		if i := findNonText(line); i >= 0 {
			l.Fail(i, 1, fmt.Sprintf("invalid byte 0x%02x", line[i]), "list files are UTF-8 text, one entry a line")
			return false
		}
	}
	l.nonBlank = l.nonBlank || len(bytes.TrimLeft(line, " \t")) > 0
	return true
}

// decodeLatin1 returns a line with each byte that is no UTF-8 as the Latin-1 character that it probably is. To the
// programs that write and read feeds, such a byte in a comment is as good as any other.
func decodeLatin1(line []byte) []byte {
	out := make([]byte, 0, len(line)+8)
	for len(line) > 0 {
		r, n := utf8.DecodeRune(line)
		if r == utf8.RuneError && n == 1 {
			r = rune(line[0])
		}
		out, line = utf8.AppendRune(out, r), line[n:]
	}
	return out
}

// isPrintable reports whether a line consists of the printable characters of ASCII, as nearly all do.
func isPrintable(line []byte) bool {
	const all = 0x0101010101010101
	wrong := uint64(0) // the upper bit of each byte
	for ; len(line) >= 8; line = line[8:] {
		b := binary.LittleEndian.Uint64(line)
		low := b & (0x7f * all)
		wrong |= b | (low + all) | ^(low + (0x80-' ')*all)
	}
	for _, c := range line {
		if c-' ' > '~'-' ' {
			return false
		}
	}
	return wrong&(0x80*all) == 0
}

// findNonText returns the offset of the first byte that is not text, or -1.
func findNonText(line []byte) int {
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

// Fail reports a problem with width bytes at offset off of the present line.
func (l *Lines) Fail(off, width int, msg, hint string) {
	l.addProblem(&l.Problems, off, width, msg, hint)
}

// SkipLine reports a problem for which the line has no effect: in a feed, the other lines still count.
func (l *Lines) SkipLine(off, width int, msg, hint string) {
	l.addProblem(l.skips(), off, width, msg, hint)
}

// SkipProblem is SkipLine for another line than the present one.
func (l *Lines) SkipProblem(p diag.Problem) { l.skips().Add(p) }

// skips returns where lines without effect are collected.
func (l *Lines) skips() *diag.Problems {
	if l.rules.Findings == nil {
		return &l.Problems
	}
	return &l.skipped
}

func (l *Lines) addProblem(to *diag.Problems, off, width int, msg, hint string) {
	if len(to.First) == diag.MaxProblems { // no copy of the line for each of a hundred million
		to.Total++
		return
	}
	to.Add(diag.Problem{File: l.Name, Line: l.Line, Col: off + 1, Width: width, Text: string(l.Text), Msg: msg, Hint: hint})
}

// Suppresses reports whether the list suppresses STARTTLS. So does a list that is not known.
func (l *Lines) Suppresses() bool { return l.rules.AnyAction || l.rules.Action == lists.Suppress }

// Yield passes an entry on if it obeys the rules of the list, and else reports that. The entry is in the present line
// unless SetLine was called.
func (l *Lines) Yield(it *Item) {
	l.entries++
	if it.Kind == iptable.Domain { // a name, and all below it
		l.entries++
	}
	if l.Obeys(it) && l.err == nil {
		l.err = l.each(it)
	}
}

// Obeys reports whether an entry obeys the rules of the list. If it does not, that is a problem of the file. It is for
// a grammar that yields the parts of an entry.
func (l *Lines) Obeys(it *Item) bool {
	if it.Line == 0 {
		it.SetLine(l.Line, l.Text)
	}
	msg, hint := l.rules.check(&it.Item)
	if msg == "" && l.cut == it.Line && !l.Whole && l.rules.Findings != nil && isWide(&it.Item) {
		msg, hint = fmt.Sprintf("%s is the last line, has no newline, and is very wide (truncated write?)", it), newlineHint
	}
	if msg != "" {
		l.Problems.Add(it.problem(l.Name, msg, hint))
	}
	return msg == ""
}

const newlineHint = "end the last line with a newline"

// Finish returns what Parse is to return.
func (l *Lines) Finish() error {
	if l.err != nil {
		return l.err
	}
	found := l.rules.Findings
	switch {
	case found == nil:
	case l.skipped.Total > l.entries: // another format, or an error page
		l.Problems.AddError(&l.skipped)
	default:
		found.Skipped.AddError(l.skipped.Err())
	}
	switch {
	case l.cut > 0 && !l.Whole:
		p := diag.Problem{File: l.Name, Line: l.Line, Col: len(l.Text) + 1, Width: 1, Text: string(l.Text),
			Msg: "missing newline at end of file (truncated write?)", Hint: newlineHint}
		if found == nil {
			p.Hint += "; if another publisher writes the file so, set its format and min_entries"
		}
		if found != nil && l.Problems.Total == 0 {
			found.Unterminated = append(found.Unterminated, p)
		} else {
			l.Problems.Add(p)
		}
	case !l.nonBlank && l.Problems.Total == 0:
		l.Problems.Add(diag.Problem{File: l.Name, Msg: "empty file (truncated write?)", Hint: "for an empty list write a comment into it"})
	}
	return l.Problems.Err()
}
