package feed

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// readIP6Trie reads an ip6trie of rbldnsd(8): the longest prefix decides, as in a list, and of equal ones the first, so
// the later ones are left out.
func readIP6Trie(l *listfile.Lines, f Filtered) {
	seen := make(map[netip.Prefix]struct{})
	z := newZone(l, f)
	z.restart = func() { clear(seen) }
	z.isEntry = func(line string) bool { return strings.HasPrefix(line, "::") }
	z.entry = func(key word, _ bool) (items []*listfile.Item, end int, ok bool) {
		w := nextWord(l.Text, key.at, blanks+"#;")
		p, msg := parseTriePrefix(w.text)
		if msg != "" {
			skipAt(l, w, msg, "write an address, a prefix, or up to seven groups, as in 2001:db8:0:1")
			return nil, 0, false
		}
		if _, repeated := seen[p]; repeated {
			return nil, w.endOffset(), true
		}
		seen[p] = struct{}{}
		return []*listfile.Item{newPrefix(w, p)}, w.endOffset(), true
	}
	z.readEntries()
}

// parseTriePrefix parses an address or a prefix, whose last groups may be left out. msg is what is wrong.
func parseTriePrefix(s string) (p netip.Prefix, msg string) {
	text, length, isPrefix := strings.Cut(s, "/")
	bits, invalid := 128, fmt.Sprintf("invalid IPv6 address %q", s)
	if strings.Contains(text, ".") {
		return p, invalid
	}
	if groups := strings.Count(text, ":") + 1; !strings.Contains(text, "::") && groups < 8 {
		if groups == 1 && !isPrefix {
			return p, fmt.Sprintf("incomplete address %q: rbldnsd expects %s/16", s, s)
		}
		text, bits = text+"::", 16*groups
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return p, invalid
	}
	if isPrefix {
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil || n > 128 {
			return p, fmt.Sprintf("invalid prefix length %q", length)
		}
		bits = int(n)
	}
	p = netip.PrefixFrom(addr, bits)
	if p != p.Masked() {
		return p, fmt.Sprintf("%s has host bits set", p)
	}
	if addr.Is4In6() && netipx.PrefixLastIP(p).Is4In6() {
		return p, mappedMsg
	}
	return p, ""
}
