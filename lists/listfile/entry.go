package listfile

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/lazyregexp"
)

// parseEntry parses the word that is the entry itself into p.item.
func (p *parser) parseEntry(word string, off int) {
	if IsPlainName(word) {
		p.item.Kind, p.item.Name = iptable.Name, strings.Clone(word)
		return
	}
	if word[0]-'0' < 10 {
		if from, to, err := ParseSpan(word); err == nil {
			p.item.From, p.item.To = from, to
			return
		}
	}
	p.parseAnyEntry(word, off)
}

// parseAnyEntry is parseEntry, and needs more time for plain entries.
func (p *parser) parseAnyEntry(word string, off int) {
	if rest, ok := strings.CutPrefix(word, "!"); ok {
		p.item.Exception = true
		word, off = rest, off+1
		if word == "" {
			p.Fail(off-1, 1, "missing entry after !", "write the entry right after the !, without a space")
			return
		}
	}
	if len(word) >= 5 && strings.EqualFold(word[:5], "helo:") {
		p.parseHELO(word[5:], off+5)
		return
	}
	if msg, hint := checkWord(word); msg != "" {
		p.Fail(off, len(word), msg, hint)
		return
	}
	var err error
	if first, last, dash := strings.Cut(word, "-"); strings.Contains(word, "/") || looksLikeAddress(word) ||
		dash && isAddress(first) && looksLikeAddress(last) {
		p.item.From, p.item.To, err = ParseSpan(word)
		p.FailSyntax(off, err, "")
		return
	}
	p.item.Kind = iptable.Name
	p.item.Name, err = ParseHostName(word)
	p.FailSyntax(off, err, forms)
}

// SyntaxError is what is wrong with a word, and where.
type SyntaxError struct {
	Offset, Width int // in bytes
	Msg           string
	Hint          string // what to write instead; may be empty
	NoClient      bool   // the text is valid, but no client can match it
}

func (e *SyntaxError) Error() string { return e.Msg }

// FailSyntax reports err, if it is not nil, about a text at offset off of the present line. hint is for an error that has
// none.
func (l *Lines) FailSyntax(off int, err error, hint string) {
	if e, ok := errors.AsType[*SyntaxError](err); ok {
		l.Fail(off+e.Offset, e.Width, e.Msg, cmp.Or(e.Hint, hint))
	}
}

// checkWord recognises words that are no entries, although some of them may look like a host name.
func checkWord(word string) (msg, hint string) {
	switch {
	case strings.Contains(word, "@"):
		return fmt.Sprintf("%q is a mail address", word), "write an address, a prefix, a range, a host name or helo:NAME of clients"
	case strings.Count(word, ":") == 1:
		return fmt.Sprintf("invalid entry %q", word), "helo: is the only word that may be before a colon"
	case strings.ContainsAny(word, ",;"):
		return "more than one entry in a line", "write one entry a line, without , or ;"
	case mayNeverMatch(word) && neverMatches.MatchString(word):
		return fmt.Sprintf("%q matches no client", word), ""
	}
	return "", ""
}

// mayNeverMatch returns false for nearly all words that neverMatches does not match, in less time.
func mayNeverMatch(word string) bool {
	return !strings.ContainsAny(word, ".:") || word[len(word)-1]|0x20 == 'x'
}

// neverMatches are words that mean something to other programs, and would be taken for host names.
var neverMatches = lazyregexp.New(`(?i)^(?:AS\d+|\d+(?:\.\d+)*(?:\.x)+|all|any|everyone|default|unknown|known|paranoid|none)$`)

// IsPlainName reports whether a word is a host name in its normal spelling, as nearly all names in lists are, and nothing else to
// any program: it has a dot, and the last label begins with a letter and is longer.
func IsPlainName(word string) bool {
	last := word[strings.LastIndexByte(word, '.')+1:]
	return len(last) > 1 && len(last) < len(word) && last[0]-'a' < 26 && lists.IsNormalHostName(word)
}

// looksLikeAddress reports whether s is to be parsed as an address or a range, and not as a name.
func looksLikeAddress(s string) bool {
	return s != "" && s != "." && (strings.Contains(s, ":") || strings.Trim(s, "0123456789.-") == "")
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// ParseHostName returns the normal spelling of a host name, or with a leading dot of all names below a domain. The error is
// a *SyntaxError.
func ParseHostName(word string) (name string, err error) {
	bare := strings.TrimPrefix(word, ".")
	if invalid, ok := errors.AsType[*lists.HostNameError](lists.CheckHostName(bare)); ok {
		at := invalid.Offset
		if bare != "" && bare[0] != '.' { // else the first dot is wrong
			at += len(word) - len(bare)
		}
		return "", &SyntaxError{Offset: at, Width: 1, Msg: invalid.Msg, Hint: hostNameHint(word)}
	}
	return strings.Clone(lists.NormalizeName(word)), nil
}

func hostNameHint(s string) string {
	for _, r := range s {
		if r >= utf8.RuneSelf && !unicode.IsLetter(r) {
			return fmt.Sprintf("%U looks like another character, or like none: type the line again", r)
		}
		if r >= utf8.RuneSelf {
			return "write the xn-- form of the name"
		}
	}
	return ""
}

func (p *parser) parseHELO(name string, off int) {
	p.item.Kind = iptable.HELO
	p.item.Name = strings.Clone(lists.NormalizeName(name))
	if rest, ok := strings.CutPrefix(p.item.Name, "*"); ok && (rest == "" || rest[0] == '.' && len(rest) > 1) {
		p.item.Name = "." + strings.TrimPrefix(rest, ".")
		name, off = name[1:], off+1
	} else if strings.HasPrefix(name, ".") {
		p.Fail(off, len(name), "HELO name begins with a dot", "for all HELO names below write helo:*"+p.item.Name)
		return
	}
	const forms = "write helo:NAME, helo:*.DOMAIN or helo:*"
	switch {
	case strings.Contains(p.item.Name, "..") && p.item.Name[0] == '.':
		p.Fail(off, len(name), "empty label in HELO name", forms)
	case p.item.Name == "":
		p.Fail(off-len("helo:"), len("helo:"), "missing name after helo:", "write the name right after it, without a space")
	case len(name) > 255:
		p.Fail(off, len(name), "HELO name is longer than 255 bytes", "")
	case nonASCII(name) >= 0: // RFC 5321 and RFC 6531: a domain in EHLO is ASCII, and a mail server shows other bytes as ?
		p.Fail(off+nonASCII(name), 1, "non-ASCII character in HELO name, which no client sends", "write the name as the log of the mail server has it")
	case strings.Trim(name, "\"'`<>,;") != name:
		p.Fail(off, len(name), "quotation mark, bracket or comma around the HELO name, which no client sends", "write the name alone, as the log of the mail server has it")
	case strings.Contains(name, "*"):
		p.Fail(off+strings.Index(name, "*"), 1, "wildcard is not the first label", forms)
	}
}

// nonASCII returns the offset of the first byte that is not ASCII, or -1.
func nonASCII(s string) int {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
