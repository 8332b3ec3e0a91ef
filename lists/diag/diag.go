// Package diag describes mistakes in files that operators write: the place, what is wrong, and what to write instead. The
// report shows the line with the place underlined, as compilers do.
package diag

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"ehlogate/lists/printable"
)

// MaxProblems is how many problems of one file or list are kept. The others are counted.
const MaxProblems = 20

// Problem is a mistake in a file.
type Problem struct {
	File  string
	Line  int    // from 1; 0: the file as a whole
	Col   int    // from 1, in bytes; 0: the line as a whole
	Width int    // bytes from Col that the problem is about
	Text  string // the line, for display
	Msg   string
	Hint  string // what to write instead; may be empty
}

// Position returns file:line:column, as far as known.
func (p Problem) Position() string {
	file := printable.Escape(p.File)
	switch {
	case p.Line == 0:
		return file
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", file, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column())
}

// Column returns the column in characters, from 1; 0: the line as a whole.
func (p Problem) Column() int {
	if p.Line == 0 || p.Col == 0 {
		return 0
	}
	return utf8.RuneCountInString(p.Text[:p.offset()]) + 1
}

// Error returns the problem in one line.
func (p Problem) Error() string {
	s := p.Position() + ": " + p.Message()
	if hint := p.Advice(); hint != "" {
		s += " (" + hint + ")"
	}
	return s
}

// maxText is how many bytes of a message or a hint are shown. They may quote a line as long as the file.
const maxText = 1000

// Message returns Msg for display.
func (p Problem) Message() string { return printable.Escape(printable.Shorten(p.Msg, maxText)) }

// Advice returns Hint for display.
func (p Problem) Advice() string { return printable.Escape(printable.Shorten(p.Hint, maxText)) }

// Report returns the problem in several lines, with the line of the file and the place underlined. severity is "error"
// or "warning".
func (p Problem) Report(severity string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s\n", p.Position(), severity, p.Message())
	if p.Line > 0 && p.Text != "" {
		num := fmt.Sprintf("%5d", p.Line)
		before, at, after := p.excerpt()
		fmt.Fprintf(&b, "%s | %s%s%s\n", num, before, at, after)
		if p.Col > 0 {
			n := max(utf8.RuneCountInString(at), 1)
			fmt.Fprintf(&b, "%*s | %s%s\n", len(num), "", blankOut(before), "^"+strings.Repeat("~", n-1))
		}
	}
	if hint := p.Advice(); hint != "" {
		fmt.Fprintf(&b, "      = hint: %s\n", hint)
	}
	return b.String()
}

// How many bytes of a line are shown before the place, of the place, and after it.
const (
	maxBefore = 200
	maxAt     = 200
	maxAfter  = 200
)

// excerpt returns the line for display, before, at and after the place of the problem.
func (p Problem) excerpt() (before, at, after string) {
	off := p.offset()
	end := max(off, min(off+max(p.Width, 1), len(p.Text)))
	for off > 0 && off < len(p.Text) && !utf8.RuneStart(p.Text[off]) {
		off--
	}
	for end < len(p.Text) && !utf8.RuneStart(p.Text[end]) {
		end++
	}
	before, at, after = p.Text[:off], p.Text[off:end], p.Text[end:]
	if begin := len(before) - maxBefore; begin > 0 {
		for begin < len(before) && !utf8.RuneStart(before[begin]) {
			begin++
		}
		before = "..." + before[begin:]
	}
	if at = printable.Shorten(at, maxAt); len(at) < end-off {
		after = ""
	}
	show := func(s string) string { return printable.EscapeExcept(s, "\t") }
	return show(before), show(at), show(printable.Shorten(after, maxAfter))
}

func (p Problem) offset() int { return max(0, min(p.Col-1, len(p.Text))) }

// blankOut returns white space of the same width as s.
func blankOut(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// Problems are the first MaxProblems problems of one file or list, and how many there were. It is an error if there is at
// least one.
type Problems struct {
	First []Problem
	Total int
}

func (ps *Problems) Add(p Problem) {
	ps.Total++
	if len(ps.First) < MaxProblems {
		ps.First = append(ps.First, p)
	}
}

// Err returns ps, or nil if it is empty.
func (ps *Problems) Err() error {
	if ps.Total == 0 {
		return nil
	}
	return ps
}

// Error returns the first problem, and how many more there are.
func (ps *Problems) Error() string {
	s := ps.First[0].Error()
	if ps.Total > 1 {
		s += fmt.Sprintf(" and %d more", ps.Total-1)
	}
	return s
}

// AddError adds the problems that err is or wraps. It returns false if there are none.
func (ps *Problems) AddError(err error) bool {
	var all *Problems
	var one Problem
	switch {
	case errors.As(err, &all):
		for _, p := range all.First {
			ps.Add(p)
		}
		ps.Total += all.Total - len(all.First)
	case errors.As(err, &one):
		ps.Add(one)
	default:
		return false
	}
	return true
}

// Report returns all problems that were kept, and the count of the others.
func (ps *Problems) Report(severity string) string {
	var b strings.Builder
	for _, p := range ps.First {
		b.WriteString(p.Report(severity))
	}
	if more := ps.Total - len(ps.First); more > 0 {
		fmt.Fprintf(&b, "... and %d more\n", more)
	}
	return b.String()
}
