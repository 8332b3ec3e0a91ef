package listfile

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go4.org/netipx"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

// parseEntry parses the word that is the entry itself into p.item.
func (p *parser) parseEntry(word string, off int) {
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
}

func (e *SyntaxError) Error() string { return e.Msg }

// FailSyntax reports err, if it is not nil, about a text at offset off of the present line. hint is for an error that has
// none.
func (l *Lines) FailSyntax(off int, err error, hint string) {
	var e *SyntaxError
	if errors.As(err, &e) {
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
	case neverMatches.MatchString(word):
		return fmt.Sprintf("%q matches no client", word), ""
	}
	return "", ""
}

// neverMatches are words that mean something to other programs, and would be taken for host names.
var neverMatches = regexp.MustCompile(`(?i)^(?:AS\d+|\d+(?:\.\d+)*(?:\.x)+|all|any|everyone|default|unknown|known|paranoid|none)$`)

// looksLikeAddress reports whether s is to be parsed as an address or a range, and not as a name.
func looksLikeAddress(s string) bool {
	return s != "" && s != "." && (strings.Contains(s, ":") || strings.Trim(s, "0123456789.-") == "")
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// ParseSpan parses an address, a prefix or a range as list files have them. The error is a *SyntaxError.
func ParseSpan(word string) (from, to netip.Addr, err error) {
	fail := func(msg, hint string) { err = &SyntaxError{Width: len(word), Msg: msg, Hint: hint} }
	if left, right, ok := strings.Cut(word, "/"); ok {
		from, to = parsePrefix(left, right, fail)
	} else {
		first, last, isRange := strings.Cut(word, "-")
		if from = parseAddr(first, fail).Unmap(); err == nil && isRange {
			to = parseRangeEnd(from, last, fail)
		} else {
			to = from
		}
	}
	if err != nil {
		return netip.Addr{}, netip.Addr{}, err
	}
	return from, to, nil
}

// ParseHostName returns the normal spelling of a host name, or with a leading dot of all names below a domain. The error is
// a *SyntaxError.
func ParseHostName(word string) (name string, err error) {
	bare := strings.TrimPrefix(word, ".")
	var invalid *lists.HostNameError
	if errors.As(lists.CheckHostName(bare), &invalid) {
		at := invalid.Offset
		if bare != "" && bare[0] != '.' { // else the first dot is wrong
			at += len(word) - len(bare)
		}
		return "", &SyntaxError{at, 1, invalid.Msg, hostNameHint(word)}
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

func parsePrefix(left, right string, fail func(msg, hint string)) (from, to netip.Addr) {
	addr := parseAddr(left, fail)
	if !addr.IsValid() {
		return from, to
	}
	n, err := strconv.Atoi(right)
	switch {
	case err != nil || right != strconv.Itoa(n) || n < 0 || n > addr.BitLen():
		hint := fmt.Sprintf("write a number of bits, 0 to %d", addr.BitLen())
		if mask, err := netip.ParseAddr(right); err == nil && mask.Is4() && addr.Is4() {
			if ones, size := net.IPMask(mask.AsSlice()).Size(); size != 0 {
				hint = fmt.Sprintf("write %s/%d", addr, ones)
			}
		}
		fail(fmt.Sprintf("invalid prefix length %q", right), hint)
		return from, to
	case addr.Is4In6() && n < 96:
		fail("prefix contains all of IPv4", "write IPv4 and IPv6 prefixes on lines of their own")
		return from, to
	case addr.Is4In6():
		addr, n = addr.Unmap(), n-96
	}
	network := netip.PrefixFrom(addr, n).Masked()
	if network.Addr() != addr {
		fail(fmt.Sprintf("%s/%d has host bits set", addr, n), fmt.Sprintf("write %s for the network, or %s for the one address", network, addr))
	}
	return addr, netipx.PrefixLastIP(network)
}

func parseRangeEnd(from netip.Addr, last string, fail func(msg, hint string)) (to netip.Addr) {
	if strings.Trim(last, "0123456789") == "" && last != "" {
		fail(fmt.Sprintf("invalid address %q", last), "write both ends of a range in full: FIRST-LAST")
		return to
	}
	switch to = parseAddr(last, fail).Unmap(); {
	case !to.IsValid():
	case from.Is4() != to.Is4():
		fail("range from one address family to the other", "write one range for IPv4 and one for IPv6")
	case to.Less(from):
		fail("range ends before it begins", fmt.Sprintf("write %s-%s", to, from))
	}
	return to
}

// parseAddr returns IPv4-mapped addresses as they are. It returns the zero address if it calls fail.
func parseAddr(s string, fail func(msg, hint string)) netip.Addr {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		fail(fmt.Sprintf("invalid address %q%s", s, describeIPv4(s)), "")
	case a.Zone() != "":
		fail("address with a zone", "write "+a.WithZone("").String())
	default:
		return a
	}
	return netip.Addr{}
}

// describeIPv4 returns what is wrong with an IPv4 address.
func describeIPv4(s string) string {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return ""
	}
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return fmt.Sprintf(": it has %d of 4 parts", len(parts))
	}
	for _, part := range parts {
		switch {
		case part == "":
			return ": empty part"
		case len(part) > 1 && part[0] == '0':
			return ": leading zero in " + part
		case len(part) > 3 || part > "255" && len(part) == 3:
			return fmt.Sprintf(": %s is above 255", part)
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
