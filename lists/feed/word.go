package feed

import (
	"net/netip"
	"slices"
	"strings"

	"ehlogate/lists/listfile"
)

// blanks part the words of a line.
const blanks = " \t"

// word is a part of the present line.
type word struct {
	text string
	at   int // its offset
}

func (w word) end() int { return w.at + len(w.text) }

// next gives the word at or behind offset at, which ends before any of ends;
// blanks before it are skipped.
func next(text []byte, at int, ends string) word {
	at = skip(text, at, blanks)
	end := at
	for end < len(text) && strings.IndexByte(ends, text[end]) < 0 {
		end++
	}
	return word{string(text[at:end]), at}
}

// skip gives the first offset from at on where none of chars is.
func skip(text []byte, at int, chars string) int {
	for at < len(text) && strings.IndexByte(chars, text[at]) >= 0 {
		at++
	}
	return at
}

// fields parts words as these programs do, for which only some of what Unicode
// calls a blank is one.
func fields(s string, also ...rune) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(blanks, r) || slices.Contains(also, r) })
}

// tail gives the rest of the line behind offset at, without blanks around it.
func tail(text []byte, at int) word {
	w := next(text, at, "")
	w.text = strings.TrimRight(w.text, blanks)
	return w
}

// cut gives the part of a word that begins at offset n of it.
func (w word) cut(n int) word { return word{w.text[n:], w.at + n} }

func fail(l *listfile.Lines, w word, msg, hint string) { l.Fail(w.at, len(w.text), msg, hint) }

// span reads an address or a prefix as list files have them.
func span(l *listfile.Lines, w word) (from, to netip.Addr, ok bool) {
	bad := func(msg, hint string) { fail(l, w, msg, hint) }
	if strings.Contains(w.text, "-") {
		bad("a range, where an address or a prefix is expected", "")
		return from, to, false
	}
	return spanOrRange(w.text, bad)
}

// spanOrRange also takes FIRST-LAST. No program that tells the two address
// families apart finds an IPv4 client by an IPv6 entry, so neither do we.
func spanOrRange(s string, bad func(msg, hint string)) (from, to netip.Addr, ok bool) {
	from, to, ok = listfile.ParseSpan(s, bad)
	if ok && from.Is4() && strings.Contains(s, ":") {
		bad("IPv4 in the spelling of IPv6, by which no client is found", "write it as IPv4")
		return from, to, false
	}
	return from, to, ok
}

// item makes an entry of a span.
func item(w word, from, to netip.Addr) *listfile.Item {
	return &listfile.Item{From: from, To: to, Col: w.at + 1, Width: len(w.text)}
}
