package feed

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// blanks separate the words of a line.
const blanks = " \t"

// word is a part of the present line.
type word struct {
	text string
	at   int // its offset
}

func (w word) endOffset() int { return w.at + len(w.text) }

// withoutFirst returns a word without its first n bytes.
func (w word) withoutFirst(n int) word { return word{w.text[n:], w.at + n} }

// nextWord returns the word at or after offset at, which ends before any of ends. Blanks before it are skipped.
func nextWord(text []byte, at int, ends string) word {
	at = skipBytes(text, at, blanks)
	end := len(text)
	if ends != "" {
		for end = at; end < len(text) && !isOneOf(text[end], ends); end++ {
		}
	}
	return word{string(text[at:end]), at}
}

// skipBytes returns the first offset from at on where none of chars is.
func skipBytes(text []byte, at int, chars string) int {
	for at < len(text) && isOneOf(text[at], chars) {
		at++
	}
	return at
}

// isOneOf is strings.IndexByte(chars, c) >= 0 for few chars, in less time.
func isOneOf(c byte, chars string) bool {
	for i := range len(chars) {
		if chars[i] == c {
			return true
		}
	}
	return false
}

// restOfLine returns the line from offset at on, without blanks around it.
func restOfLine(text []byte, at int) word {
	w := nextWord(text, at, "")
	w.text = strings.TrimRight(w.text, blanks)
	return w
}

// splitWords splits at blanks and separators. To these programs, only some of what strings.Fields splits at is blank.
func splitWords(s string, separators ...rune) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(blanks, r) || slices.Contains(separators, r) })
}

func failAt(l *listfile.Lines, w word, msg, hint string) { l.Fail(w.at, len(w.text), msg, hint) }

func skipAt(l *listfile.Lines, w word, msg, hint string) { l.SkipLine(w.at, len(w.text), msg, hint) }

// failSyntax reports an error of parseNetwork or parseSpan. A text that is valid and matches no client is skipped.
func failSyntax(l *listfile.Lines, w word, err error) {
	if e := syntaxOf(err); e.NoClient {
		skipAt(l, w, e.Msg, e.Hint)
	} else {
		failAt(l, w, e.Msg, e.Hint)
	}
}

// skipSyntax is failSyntax for a program that skips what is invalid. hint is for an error that has none.
func skipSyntax(l *listfile.Lines, w word, err error, hint string) {
	e := syntaxOf(err)
	l.SkipLine(w.at+e.Offset, e.Width, e.Msg, cmp.Or(e.Hint, hint))
}

func syntaxOf(err error) *listfile.SyntaxError {
	e, _ := errors.AsType[*listfile.SyntaxError](err)
	return e
}

// parseNetwork parses an address or a prefix as list files have them. The error is a *listfile.SyntaxError.
func parseNetwork(s string) (from, to netip.Addr, err error) {
	if strings.Contains(s, "-") {
		return from, to, &listfile.SyntaxError{Width: len(s), Msg: "range in place of an address or a prefix"}
	}
	return parseSpan(s)
}

// parseSpan also parses FIRST-LAST. No program that knows two address families finds an IPv4 client by an IPv6 entry, so
// IPv4-mapped addresses match no client.
func parseSpan(s string) (from, to netip.Addr, err error) {
	from, to, err = listfile.ParseSpan(s)
	if err == nil && from.Is4() && strings.Contains(s, ":") {
		err = &listfile.SyntaxError{Width: len(s), Msg: mappedMsg, Hint: "if the IPv4 client is meant, write " + from.String(), NoClient: true}
	}
	return from, to, err
}

const mappedMsg = "IPv4-mapped IPv6 address never matches a client"

func newSpan(w word, from, to netip.Addr) *listfile.Item {
	return &listfile.Item{Item: iptable.Item{From: from, To: to}, Col: w.at + 1, Width: len(w.text)}
}

func newPrefix(w word, p netip.Prefix) *listfile.Item {
	return newSpan(w, p.Masked().Addr(), netipx.PrefixLastIP(p))
}

// newDomain returns an entry about a name and all names below it.
func newDomain(w word, name string) *listfile.Item {
	it := newName(w, name)
	it.Kind = iptable.Domain
	return it
}

func newName(w word, name string) *listfile.Item {
	return &listfile.Item{Item: iptable.Item{Kind: iptable.Name, Name: name}, Col: w.at + 1, Width: len(w.text)}
}
