package listfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unsafe"
)

// Parse reads a list file and gives its entries to each, in order; what each
// gets is good until it returns. All of the file is read even if there are
// problems in it, which are returned as *Problems; an error of r or of each
// ends it.
func Parse(r io.Reader, name string, rules Rules, each func(*Item) error) error {
	p := parser{Lines: NewLines(r, name, rules, each)}
	for p.plainLines(); p.Next(); p.plainLines() {
		if p.parse() {
			p.Yield(&p.item)
		}
	}
	return p.Finish()
}

type parser struct {
	*Lines
	item Item
	easy Item // of a plain line
}

// parse reads the present line into p.item, if there is an entry in it.
func (p *parser) parse() bool {
	body, note, _ := bytes.Cut(p.Text, []byte("#"))
	word, off, rest := nextWord(body, 0)
	if len(word) == 0 {
		return false
	}
	p.item = Item{text: p.Text, Line: p.Line, Col: off + 1, Width: len(word), Note: string(bytes.TrimSpace(note))}
	before := p.Problems.Total // one problem a line is enough to say
	// The string shares the memory of the line; what is kept of it is copied.
	p.entry(unsafe.String(&word[0], len(word)), off)
	for p.Problems.Total == before {
		word, off, rest = nextWord(body, rest)
		if len(word) == 0 {
			return true
		}
		p.attribute(string(word), off)
	}
	return false
}

// nextWord gives the word at or behind from, its place, and where to go on.
func nextWord(s []byte, from int) (word []byte, at, rest int) {
	for from < len(s) && (s[from] == ' ' || s[from] == '\t') {
		from++
	}
	end := from
	for end < len(s) && s[end] != ' ' && s[end] != '\t' {
		end++
	}
	return s[from:end], from, end
}

// attribute reads what stands behind an entry.
func (p *parser) attribute(word string, off int) {
	key, value, eq := strings.Cut(word, "=")
	if !eq || key != "until" {
		hint := "behind an entry stands until=DATE, or a note behind #"
		if word == "-" {
			hint = "write a range without spaces: FIRST-LAST"
		}
		p.Fail(off, len(word), fmt.Sprintf("unknown word %q", word), hint)
		return
	}
	until, err := parseUntil(value)
	switch {
	case err != nil:
		p.Fail(off+len("until="), len(value), err.Error(),
			"write a date (2026-12-01, that day included, UTC) or a time (2026-12-01T18:00:00Z)")
	case !p.item.Until.IsZero():
		p.Fail(off, len(word), "until= stands here twice", "keep one of them")
	default:
		p.item.Until = until
	}
}

// parseUntil reads a date, of which the whole day UTC still counts, or an
// RFC 3339 time, from which on the entry no longer counts.
func parseUntil(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return checkYear(day.AddDate(0, 0, 1))
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return checkYear(t.UTC())
	}
	return time.Time{}, fmt.Errorf("%q is no date", s)
}

// checkYear keeps to what 64 bits of nanoseconds can hold.
func checkYear(t time.Time) (time.Time, error) {
	if t.Year() < 1970 || t.Year() > 2261 {
		return t, errors.New("the year is out of range (1970 to 2261)")
	}
	return t, nil
}
