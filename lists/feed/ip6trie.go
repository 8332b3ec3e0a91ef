package feed

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// readIP6Trie reads an ip6trie of rbldnsd(8): the longest prefix counts, as in
// a list, and of equal ones the first, so those behind it are left out.
func readIP6Trie(l *listfile.Lines) {
	seen := make(map[netip.Prefix]struct{})
	z := zone{Lines: l, isEntry: func(line string) bool { return strings.HasPrefix(line, "::") }}
	z.entry = func(key word, _ bool) (items []*listfile.Item, end int, ok bool) {
		w := next(l.Text, key.at, blanks+"#;")
		p, msg := ip6prefix(w.text)
		if msg != "" {
			fail(l, w, msg, "write an address, a prefix, or up to seven groups, as in 2001:db8:0:1")
			return nil, 0, false
		}
		if _, twice := seen[p]; twice {
			return nil, w.end(), true
		}
		seen[p] = struct{}{}
		return network(w, p), w.end(), true
	}
	z.read()
}

// ip6prefix reads an address or a prefix, of which the groups at the end may
// be left out; msg says what is wrong.
func ip6prefix(s string) (p netip.Prefix, msg string) {
	text, length, isPrefix := strings.Cut(s, "/")
	bits := 128
	if strings.Contains(text, ".") {
		return p, fmt.Sprintf("%q is no IPv6 address", s)
	}
	if groups := strings.Count(text, ":") + 1; !strings.Contains(text, "::") && groups < 8 {
		if groups == 1 && !isPrefix {
			return p, fmt.Sprintf("%q is too little for an address; rbldnsd wants %s/16", s, s)
		}
		text, bits = text+"::", 16*groups
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return p, fmt.Sprintf("%q is no IPv6 address", s)
	}
	if isPrefix {
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil || n > 128 {
			return p, fmt.Sprintf("%q is not the length of a prefix", length)
		}
		bits = int(n)
	}
	p = netip.PrefixFrom(addr, bits)
	if p != p.Masked() {
		return p, fmt.Sprintf("%s has bits set behind /%d", addr, bits)
	}
	if r := netipx.RangeOfPrefix(p); r.From().Is4In6() && r.To().Is4In6() {
		return p, "IPv4 in the spelling of IPv6, by which no client is found"
	}
	return p, ""
}
