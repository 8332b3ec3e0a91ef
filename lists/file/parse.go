package file

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"ehlogate/lists"
)

// MaxLine is the longest line of a list file in bytes, its end included.
const MaxLine = 4096

// Rules are what a list demands of its entries.
type Rules struct {
	Action    lists.Action
	AllowWide bool // accept what covers a large part of the Internet
	// AnyAction skips the demands that depend on Action, for a file of which
	// it is not known to which list it belongs.
	AnyAction bool
}

// Parse reads a list file and gives its entries to each, in order. All of the
// file is read even if there are problems in it, which are returned as
// *Problems; an error of r or of each ends it.
func Parse(r io.Reader, name string, rules Rules, each func(*Item) error) error {
	p := parser{file: name, rules: rules}
	br := bufio.NewReaderSize(r, readSize)
	for {
		if err := p.plainLines(br, each); err != nil {
			return err
		}
		line, err := br.ReadSlice('\n')
		if err == io.EOF && len(line) == 0 {
			if !p.said && p.problems.Total == 0 {
				p.problems.Add(Problem{File: name,
					Msg:  "the file is empty, as in a half-finished write",
					Hint: "for an empty list on purpose write a comment into it"})
			}
			return p.problems.Err()
		}
		p.line++
		if len(line) > MaxLine {
			p.text = bytes.Clone(line[:80])
			p.fail(0, 0, fmt.Sprintf("the line is longer than %d bytes", MaxLine-1), "is this a list file?")
			for err == bufio.ErrBufferFull {
				_, err = br.ReadSlice('\n')
			}
		} else if item, ok := p.parse(line); ok {
			if err := each(item); err != nil {
				return err
			}
		}
		if err == io.EOF {
			p.fail(len(p.text), 1, "the last line has no end, as in a half-finished write", "end it with a newline")
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
}

// readSize is how many bytes are read at a time; more than MaxLine.
const readSize = 1 << 16

type parser struct {
	file     string
	rules    Rules
	line     int
	text     []byte // the line without its end
	said     bool   // there was a comment or an entry
	item     Item
	easy     Item // of a plain line
	problems Problems
}

// fail notes a problem with width bytes at offset off of the line.
func (p *parser) fail(off, width int, msg, hint string) {
	p.problems.Add(Problem{File: p.file, Line: p.line, Col: off + 1, Width: width,
		Text: string(p.text), Msg: msg, Hint: hint})
}

// utf8BOM is what some editors put before the first line.
const utf8BOM = "\xef\xbb\xbf"

// parse reads one line. The item is good until the next call.
func (p *parser) parse(line []byte) (*Item, bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if p.line == 1 {
		line = bytes.TrimPrefix(line, []byte(utf8BOM))
	}
	p.text = line
	if i := notText(line); i >= 0 {
		p.fail(i, 1, fmt.Sprintf("the byte 0x%02x is not text", line[i]), "list files are UTF-8 text, one entry a line")
		return nil, false
	}
	body, note, comment := bytes.Cut(line, []byte("#"))
	word, off, rest := nextWord(body, 0)
	if len(word) == 0 {
		p.said = p.said || comment
		return nil, false
	}
	p.said = true
	p.item = Item{text: line, Line: p.line, Col: off + 1, Width: len(word), Note: string(bytes.TrimSpace(note))}
	before := p.problems.Total // one problem a line is enough to say
	// The string shares the memory of the line; what is kept of it is copied.
	p.entry(unsafe.String(&word[0], len(word)), off)
	for p.problems.Total == before {
		word, off, rest = nextWord(body, rest)
		if len(word) == 0 {
			p.demands()
			break
		}
		p.attribute(string(word), off)
	}
	return &p.item, p.problems.Total == before
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
		p.fail(off, len(word), fmt.Sprintf("unknown word %q", word), hint)
		return
	}
	until, err := parseUntil(value)
	switch {
	case err != nil:
		p.fail(off+len("until="), len(value), err.Error(),
			"write a date (2026-12-01, that day included, UTC) or a time (2026-12-01T18:00:00Z)")
	case !p.item.Until.IsZero():
		p.fail(off, len(word), "until= stands here twice", "keep one of them")
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

// demands checks what the list that the entry is for demands of it.
func (p *parser) demands() {
	it, action := &p.item, p.rules.Action
	bad := func(msg, hint string) { p.fail(it.Col-1, it.Width, msg, hint) }
	if it.Kind == HELO && it.Hole {
		bad("a HELO name cannot be a hole: it is what the client claims, and anybody could claim it",
			"except clients by address or by verified name")
		return
	}
	if p.rules.AnyAction {
		return
	}
	switch {
	case it.Kind == HELO && action != lists.Suppress:
		bad(fmt.Sprintf("a HELO name in a list with action %q: it is what the client claims, and anybody could claim it", action),
			"HELO names stand in suppress lists only")
	case it.Kind == Name && action == lists.Require:
		bad("a host name in a list with action \"require\"",
			"require lists hold addresses only, since a mail server asks about EHLO by address")
	case it.Hole || action == lists.Offer || p.rules.AllowWide:
	case it.wide():
		bad(fmt.Sprintf("%s is very wide for a list with action %q", it, action),
			"correct it, or set allow_wide = true for this list in the config")
	}
}

// wide: more than an IPv4 /8 or an IPv6 /19, a whole top-level domain, or
// every name.
func (it *Item) wide() bool {
	if it.Kind != Address {
		return strings.HasPrefix(it.Name, ".") && strings.Count(it.Name, ".") == 1
	}
	span := keyOf(it.To).minus(keyOf(it.From))
	if it.From.Is4() {
		return span.lo >= 1<<(32-8)
	}
	return span.hi >= 1<<(64-19)
}
