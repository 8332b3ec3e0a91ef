package listfile

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"ehlogate/lists"
)

// entry reads the word that is the entry itself into p.item.
func (p *parser) entry(word string, off int) {
	if rest, hole := strings.CutPrefix(word, "!"); hole {
		p.item.Hole = true
		word, off = rest, off+1
		if word == "" {
			p.Fail(off-1, 1, "a hole without an entry", "write the entry right behind the !, without a space")
			return
		}
	}
	bad := func(msg, hint string) { p.Fail(off, len(word), msg, hint) }
	if len(word) >= 5 && strings.EqualFold(word[:5], "helo:") {
		p.helo(word[5:], off+5)
		return
	}
	if msg, hint := misspelt(word); msg != "" {
		bad(msg, hint)
		return
	}
	if first, last, dash := strings.Cut(word, "-"); strings.Contains(word, "/") || looksLikeAddress(word) ||
		dash && isAddress(first) && looksLikeAddress(last) {
		p.item.From, p.item.To, _ = ParseSpan(word, bad)
		return
	}
	p.item.Kind = Name
	p.item.Name, _ = ParseHostName(word, func(at, width int, msg, hint string) {
		p.Fail(off+at, width, msg, cmp.Or(hint, "an entry is an address, a prefix, a range, a host name, .DOMAIN or helo:NAME"))
	})
}

// ParseSpan reads an address, a prefix or a range as they stand in list files. bad
// is told what is wrong and what to write instead, unless it is ok.
func ParseSpan(word string, bad func(msg, hint string)) (from, to netip.Addr, ok bool) {
	if strings.Contains(word, "/") {
		return prefixSpan(word, bad)
	}
	first, last, dash := strings.Cut(word, "-")
	if !dash {
		last = first
	}
	return rangeSpan(first, last, bad)
}

// ParseHostName reads a host name, or with a leading dot a domain, into its normal
// spelling. bad is told what is wrong with which bytes, unless it is ok.
func ParseHostName(word string, bad func(at, width int, msg, hint string)) (name string, ok bool) {
	bare := strings.TrimPrefix(word, ".")
	var fault *lists.HostNameError
	if errors.As(lists.CheckHostName(bare), &fault) {
		at := fault.Offset
		if bare != "" && bare[0] != '.' { // else the first dot is what is wrong
			at += len(word) - len(bare)
		}
		bad(at, 1, fault.Msg, hostNameHint(word))
		return "", false
	}
	return strings.Clone(lists.NormalizeName(word)), true
}

// misspelt recognises what other programs write.
func misspelt(word string) (msg, hint string) {
	switch {
	case strings.HasPrefix(word, "["):
		return "an address in brackets", "write it without [ and ]"
	case len(word) > 5 && strings.EqualFold(word[:5], "ipv6:"):
		return "an address with the prefix IPv6:", "write " + word[5:]
	case strings.HasPrefix(word, "*."):
		return fmt.Sprintf("%q is not how names below a domain are written", word), "write " + word[1:]
	case strings.Contains(word, "@"):
		return fmt.Sprintf("%q is a mail address; clients are hosts", word), "write an address, a prefix, a range, a host name or helo:NAME"
	case strings.Count(word, ":") == 1:
		return fmt.Sprintf("%q is no address and no name", word), "write it without a port; of words before a colon only helo: is known"
	case strings.HasSuffix(word, ".*"):
		return fmt.Sprintf("%q is no prefix", word), "write a prefix with its length, as in 192.0.2.0/24"
	case strings.ContainsAny(word, ",;"):
		return "more than one entry, or a comma too many", "write one entry a line, without , or ;"
	}
	return "", ""
}

// looksLikeAddress: to be read, and faulted, as an address or a range of them
// and not as a name.
func looksLikeAddress(s string) bool {
	return s != "" && s != "." && (strings.Contains(s, ":") || strings.Trim(s, "0123456789.-") == "")
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// prefixSpan reads a prefix.
func prefixSpan(word string, bad func(msg, hint string)) (from, to netip.Addr, ok bool) {
	left, right, _ := strings.Cut(word, "/")
	addr, ok := parseItemAddr(left, bad)
	if !ok {
		return from, to, false
	}
	n, err := strconv.Atoi(right)
	if err != nil || n < 0 || len(right) > 3 || right != strconv.Itoa(n) {
		hint := fmt.Sprintf("write a number of bits, 0 to %d", addr.BitLen())
		if mask, err := netip.ParseAddr(right); err == nil && mask.Is4() && addr.Is4() {
			if ones, size := net.IPMask(mask.AsSlice()).Size(); size != 0 {
				hint = fmt.Sprintf("write %s/%d", addr, ones)
			}
		}
		bad(fmt.Sprintf("%q is not the length of a prefix", right), hint)
		return from, to, false
	}
	if n > addr.BitLen() {
		bad(fmt.Sprintf("/%d is too long", n), fmt.Sprintf("%s has %d bits", left, addr.BitLen()))
		return from, to, false
	}
	if addr.Is4In6() {
		if n < 96 {
			bad("a prefix that holds all of IPv4 and more", "write IPv4 and IPv6 prefixes on lines of their own")
			return from, to, false
		}
		addr, n = addr.Unmap(), n-96
	}
	network := netip.PrefixFrom(addr, n).Masked()
	if network.Addr() != addr {
		bad(fmt.Sprintf("%s has bits set behind /%d", addr, n),
			fmt.Sprintf("write %s for the network, or %s for the one address", network, addr))
		return from, to, false
	}
	return addr, lastOf(network), true
}

// rangeSpan reads a range, or a single address if both ends are the same.
func rangeSpan(first, last string, bad func(msg, hint string)) (from, to netip.Addr, ok bool) {
	if from, ok = parseItemAddr(first, bad); !ok {
		return from, to, false
	}
	to = from
	if last != first {
		if strings.Trim(last, "0123456789") == "" && last != "" {
			bad(fmt.Sprintf("%q is not an address", last), "write both ends of a range in full: FIRST-LAST")
			return from, to, false
		}
		if to, ok = parseItemAddr(last, bad); !ok {
			return from, to, false
		}
	}
	from, to = from.Unmap(), to.Unmap()
	switch {
	case from.Is4() != to.Is4():
		bad("a range from one address family to the other", "write one range for IPv4 and one for IPv6")
		return from, to, false
	case to.Less(from):
		bad("the range is backwards", fmt.Sprintf("write %s-%s", to, from))
		return from, to, false
	}
	return from, to, true
}

// parseItemAddr leaves an IPv4-mapped address as it is.
func parseItemAddr(s string, bad func(msg, hint string)) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		bad(fmt.Sprintf("%q is not an address%s", s, addrFault(s)), "")
	case a.Zone() != "":
		bad("an address with a zone", "write "+a.WithZone("").String())
	default:
		return a, true
	}
	return netip.Addr{}, false
}

// addrFault says what is wrong with something like an IPv4 address.
func addrFault(s string) string {
	if strings.Contains(s, ":") {
		return ""
	}
	parts := strings.Split(s, ".")
	if s == "" {
		return ""
	}
	if len(parts) != 4 {
		return fmt.Sprintf(": it has %d of 4 parts", len(parts))
	}
	for _, part := range parts {
		switch n, err := strconv.Atoi(part); {
		case part == "":
			return ": a part is empty"
		case err != nil:
			return fmt.Sprintf(": %s is no number", part)
		case n > 255:
			return fmt.Sprintf(": %s is above 255", part)
		case len(part) > 1 && part[0] == '0':
			return fmt.Sprintf(": %s may be read as octal", part)
		}
	}
	return ""
}

func (p *parser) helo(name string, off int) {
	p.item.Kind = HELO
	p.item.Name = strings.Clone(lists.NormalizeName(name))
	if rest, ok := strings.CutPrefix(p.item.Name, "*"); ok && (rest == "" || rest[0] == '.' && len(rest) > 1) {
		p.item.Name = "." + strings.TrimPrefix(rest, ".")
		name, off = name[1:], off+1
	} else if strings.HasPrefix(name, ".") {
		p.Fail(off, len(name), fmt.Sprintf("%q: no client says that", name), "for all HELO names below write helo:*"+name)
		return
	}
	switch {
	case strings.Contains(p.item.Name, "..") && p.item.Name[0] == '.':
		p.Fail(off, len(name), "a label is empty", "only helo:*.DOMAIN and helo:* are known")
	case p.item.Name == "":
		p.Fail(off-len("helo:"), len("helo:"), "helo: without a name", "write the name right behind it, without a space")
	case len(name) > 255:
		p.Fail(off, len(name), "the name is longer than 255 bytes", "")
	case strings.Contains(name, "*"):
		p.Fail(off+strings.Index(name, "*"), 1, "a * that is not the first label", "only helo:*.DOMAIN and helo:* are known")
	}
}

func hostNameHint(s string) string {
	for _, r := range s {
		if r >= 0x80 && !unicode.IsLetter(r) {
			return fmt.Sprintf("there is a character that looks like another one, or like none (%U): type the line again", r)
		}
		if r >= 0x80 {
			return "write the xn-- form of the name"
		}
	}
	return ""
}
