package feed

import (
	"net/netip"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// prefixOf returns the prefix of an item that is one.
func prefixOf(it *listfile.Item) netip.Prefix {
	if it.From == it.To { // in less time
		return netip.PrefixFrom(it.From, it.From.BitLen())
	}
	p, _ := netipx.IPRangeFrom(it.From, it.To).Prefix()
	return p
}

// parseCIDRPattern parses an address or a prefix. Postfix skips a rule or an if with an invalid one.
func parseCIDRPattern(l *listfile.Lines, w word) (it listfile.Item, ok bool) {
	if inner, ok := strings.CutPrefix(w.text, "["); ok { // [ADDRESS/LENGTH] or [ADDRESS]/LENGTH
		addr, length, closed := strings.Cut(inner, "]")
		if !closed || length != "" && length[0] != '/' {
			skipAt(l, w, "missing ], or text after it", "write it without [ and ]")
			return it, false
		}
		w = word{addr + length, w.at + 1}
	}
	from, to, err := parseNetwork(withoutLeadingZeros(w.text))
	if err != nil {
		skipSyntax(l, w, err, "")
		return it, false
	}
	return *newSpan(w, from, to), true
}

// withoutLeadingZeros returns a prefix without zeros before its length, as in 192.0.2.0/024, which Postfix takes.
func withoutLeadingZeros(s string) string {
	addr, length, ok := strings.Cut(s, "/")
	if !ok || len(length) < 2 || length[0] != '0' {
		return s
	}
	if length = strings.TrimLeft(length, "0"); length == "" {
		length = "0"
	}
	return addr + "/" + length
}

func isAlphanumeric(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 26 }
