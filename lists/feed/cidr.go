package feed

import (
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// readCIDR reads a cidr_table(5).
//
// There the first rule that matches decides, and in a list the smallest span. But two prefixes are nested or disjoint. So
// both are the same once the rules are left out that Postfix never reaches: those within the prefix of an earlier one.
func readCIDR(l *listfile.Lines) {
	t := table{Lines: l}
	t.pattern = func(w word) []*listfile.Item { return parseCIDRPattern(l, w) }
	var before prefixes
	t.readRules(func(items []*listfile.Item, _ bool) bool {
		p, _ := netipx.IPRangeFrom(items[0].From, items[0].To).Prefix()
		return before.add(p)
	})
}

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
			failAt(l, w, "missing ], or text after it", "write it without [ and ]")
			return nil
		}
		w = word{addr + length, w.at + 1}
	}
	from, to, ok := parseNetwork(l, w)
	if !ok {
		return nil
	}
	return []*listfile.Item{newSpan(w, from, to)}
}

func isAlphanumeric(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 26 }
