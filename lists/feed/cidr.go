package feed

import (
	"net/netip"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// readCIDR reads a cidr_table(5).
//
// There the first rule that matches decides, and in a list the smallest span. But two prefixes are nested or disjoint. So
// both are the same once the rules are left out that Postfix never reaches: those within the prefix of an earlier one.
func readCIDR(l *listfile.Lines, f Filtered) {
	t := table{results: newResults(l, f), isPostfix: true}
	t.pattern = func(w word) []*listfile.Item { return parseCIDRPattern(l, w) }
	var before prefixes
	t.isReached = func(r *logicalLine, _ bool) bool { return before.add(prefixOf(r.items[0])) }
	t.readRules()
}

// prefixOf returns the prefix of an item that is one.
func prefixOf(it *listfile.Item) netip.Prefix {
	p, _ := netipx.IPRangeFrom(it.From, it.To).Prefix()
	return p
}

// parseCIDRPattern parses what is before a result. Postfix skips a rule whose pattern is invalid; but what it knows and a
// list does not refuses the table.
func parseCIDRPattern(l *listfile.Lines, w word) []*listfile.Item {
	lower := strings.ToLower(w.text)
	for _, keyword := range []string{"if", "endif"} {
		rest, is := strings.CutPrefix(lower, keyword)
		if is && (rest == "" || !isAlphanumeric(rest[0])) {
			failAt(l, w, "if and endif are not supported", "write the rules without them, each with the prefix that it matches there")
			return nil
		}
	}
	if strings.HasPrefix(w.text, "!") {
		failAt(l, w, "negated pattern", "write the prefixes that are meant, or a rule with DUNNO before 0.0.0.0/0 or ::/0")
		return nil
	}
	if inner, ok := strings.CutPrefix(w.text, "["); ok { // [ADDRESS/LENGTH] or [ADDRESS]/LENGTH
		addr, length, closed := strings.Cut(inner, "]")
		if !closed || length != "" && length[0] != '/' {
			skipAt(l, w, "missing ], or text after it", "write it without [ and ]")
			return nil
		}
		w = word{addr + length, w.at + 1}
	}
	from, to, err := parseNetwork(withoutLeadingZeros(w.text))
	if err != nil {
		skipSyntax(l, w, err, "")
		return nil
	}
	return []*listfile.Item{newSpan(w, from, to)}
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
