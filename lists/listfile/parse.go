package listfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unsafe"

	"ehlogate/lists/iptable"
)

// Parse reads a list file and calls each for its entries, in order; an Item is valid until each returns. All of the file
// is read even if there are problems, which are returned as *diag.Problems. An error of r or each ends the reading.
func Parse(r io.Reader, name string, rules Rules, each func(*Item) error) error {
	p := parser{Lines: NewLines(r, name, rules, each)}
	for p.parsePlainLines(); p.Next(); p.parsePlainLines() {
		if p.parseLine() {
			p.Yield(&p.item)
		}
	}
	return p.Finish()
}

type parser struct {
	*Lines
	item  Item
	plain Item // of a plain line
	isTry bool // the line is a proposal for a hint
}

// parseLine parses the present line into p.item. It returns false if there is no valid entry in it.
func (p *parser) parseLine() bool {
	body, note, _ := bytes.Cut(p.Text, []byte("#"))
	word, off, rest := nextWord(body, 0)
	if len(word) == 0 {
		return false
	}
	p.item = Item{Item: iptable.Item{Line: p.Line, Note: string(bytes.TrimSpace(note))}, Col: off + 1, Width: len(word), source: p.Text}
	before := p.Problems.Total // one problem a line is enough
	// The string shares the memory of the line. What is kept of it is cloned.
	p.parseEntry(unsafe.String(&word[0], len(word)), off)
	for p.Problems.Total == before {
		word, off, rest = nextWord(body, rest)
		if len(word) == 0 {
			return true
		}
		p.parseAttribute(string(word), off)
	}
	if n := len(p.Problems.First); n == p.Problems.Total && !p.isTry { // it was kept
		p.explain(&p.Problems.First[n-1], string(bytes.Trim(body, " \t")))
	}
	return false
}

// nextWord returns the word at or after from, its offset, and where to go on.
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

func (p *parser) parseAttribute(word string, off int) {
	value, ok := strings.CutPrefix(word, "until=")
	if !ok {
		hint := "after an entry there may be until=DATE, and a note after #"
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
		p.Fail(off, len(word), "duplicate until=", "keep one of them")
	default:
		p.item.Until = until
	}
}

// parseUntil parses a date, at the end of which in UTC an entry expires, or an RFC 3339 time at which it does.
func parseUntil(s string) (time.Time, error) {
	until, err := time.Parse(time.DateOnly, s)
	if err == nil {
		until = until.AddDate(0, 0, 1)
	} else if until, err = time.Parse(time.RFC3339, s); err != nil {
		return until, fmt.Errorf("invalid date %q", s)
	}
	if until = until.UTC(); until.Year() < 1970 || until.Year() > 2261 { // 64 bits of nanoseconds
		return until, errors.New("year out of range (1970 to 2261)")
	}
	return until, nil
}
