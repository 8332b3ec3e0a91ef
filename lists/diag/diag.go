// Package diag describes mistakes in files that operators write: the place, what is wrong, and what to write instead. The
// report shows the line with the place underlined, as compilers do.
package diag

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
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

// Position returns file:line:column, as far as known. The column counts characters.
func (p Problem) Position() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, utf8.RuneCountInString(p.Text[:p.offset()])+1)
}

// Error returns the problem in one line.
func (p Problem) Error() string {
	s := p.Position() + ": " + p.Msg
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Report returns the problem in several lines, with the line of the file and the place underlined. severity is "error"
// or "warning".
func (p Problem) Report(severity string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s\n", p.Position(), severity, p.Msg)
	if p.Line > 0 && p.Text != "" {
		num := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "%s | %s\n", num, printable(p.Text))
		if p.Col > 0 {
			off := p.offset()
			end := min(off+max(p.Width, 1), len(p.Text))
			n := max(utf8.RuneCountInString(p.Text[off:max(end, off)]), 1)
			fmt.Fprintf(&b, "%*s | %s%s\n", len(num), "", blankOut(p.Text[:off]), "^"+strings.Repeat("~", n-1))
		}
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "      = hint: %s\n", p.Hint)
	}
	return b.String()
}

func (p Problem) offset() int { return max(0, min(p.Col-1, len(p.Text))) }

// printable replaces control characters, which a broken file must not send to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= ' ' && r != 0x7f && r != utf8.RuneError {
			return r
		}
		return '?'
	}, s)
}

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

// Add adds a problem.
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
