package listfile

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxProblems is how many problems of one load are kept; the rest is counted.
const MaxProblems = 20

// Problem is one thing wrong in a file that an operator wrote, with its place
// and what to do about it.
type Problem struct {
	File  string
	Line  int    // from 1; 0: the file as a whole
	Col   int    // from 1, in bytes; 0: the line as a whole
	Width int    // bytes from Col that the problem is about
	Text  string // the line, for display
	Msg   string
	Hint  string // what to write instead; may be empty
}

// Pos gives file:line:column, as far as known; the column counts characters.
func (p Problem) Pos() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, utf8.RuneCountInString(p.Text[:p.offset()])+1)
}

// Error gives the problem on one line.
func (p Problem) Error() string {
	s := p.Pos() + ": " + p.Msg
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Show gives the problem on several lines: severity is "error" or "warning",
// and the line stands below it with the place underlined.
func (p Problem) Show(severity string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s\n", p.Pos(), severity, p.Msg)
	if p.Line > 0 && p.Text != "" {
		num := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "%s | %s\n", num, printable(p.Text))
		if p.Col > 0 {
			off := p.offset()
			end := min(off+max(p.Width, 1), len(p.Text))
			n := max(utf8.RuneCountInString(p.Text[off:max(end, off)]), 1)
			fmt.Fprintf(&b, "%*s | %s%s\n", len(num), "", blank(p.Text[:off]), "^"+strings.Repeat("~", n-1))
		}
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, "      = hint: %s\n", p.Hint)
	}
	return b.String()
}

func (p Problem) offset() int { return max(0, min(p.Col-1, len(p.Text))) }

// printable keeps control characters of a broken file off the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r >= ' ' && r != 0x7f && r != utf8.RuneError {
			return r
		}
		return '?'
	}, s)
}

// blank gives white space of the same width as s.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// Problems are the problems of one load: the first MaxProblems and how many
// there were. It is an error if there is at least one.
type Problems struct {
	First []Problem
	Total int
}

// Add notes a problem.
func (ps *Problems) Add(p Problem) {
	ps.Total++
	if len(ps.First) < MaxProblems {
		ps.First = append(ps.First, p)
	}
}

// Err is ps, or nil if it is empty.
func (ps *Problems) Err() error {
	if ps.Total == 0 {
		return nil
	}
	return ps
}

// Error gives the first problem, and how many more there are.
func (ps *Problems) Error() string {
	s := ps.First[0].Error()
	if ps.Total > 1 {
		s += fmt.Sprintf(" and %d more", ps.Total-1)
	}
	return s
}

// Show gives all that was kept, in full, and the count of the rest.
func (ps *Problems) Show(severity string) string {
	var b strings.Builder
	for _, p := range ps.First {
		b.WriteString(p.Show(severity))
	}
	if more := ps.Total - len(ps.First); more > 0 {
		fmt.Fprintf(&b, "... and %d more\n", more)
	}
	return b.String()
}
