package feed

import (
	"net/netip"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// readCIDR reads a cidr_table(5).
//
// There the first rule counts that a client matches, and in a list the
// smallest span. But of two prefixes one holds all of the other, or they have
// nothing in common. So the two are the same as soon as those rules are left
// out that Postfix never gets to, since one before them holds all of theirs.
func readCIDR(l *listfile.Lines) {
	t := table{Lines: l}
	t.pattern = func(w word) []*listfile.Item { return cidrPattern(l, w) }
	var before prefixes
	t.read(func(items []*listfile.Item, _ bool) bool {
		p, _ := netipx.IPRangeFrom(items[0].From, items[0].To).Prefix()
		return before.add(p)
	})
}

func cidrPattern(l *listfile.Lines, w word) []*listfile.Item {
	lower := strings.ToLower(w.text)
	for _, keyword := range []string{"if", "endif"} {
		rest, is := strings.CutPrefix(lower, keyword)
		if is && (rest == "" || !isAlnum(rest[0])) {
			fail(l, w, "blocks of if and endif are not understood", "write the rules without them, each for what it is to match there")
			return nil
		}
	}
	if strings.HasPrefix(w.text, "!") {
		fail(l, w, "a pattern that stands for everybody else", "write the prefixes that are meant, or a rule with DUNNO before 0.0.0.0/0 or ::/0")
		return nil
	}
	if inner, ok := strings.CutPrefix(w.text, "["); ok { // [ADDRESS/LENGTH] or [ADDRESS]/LENGTH
		addr, length, closed := strings.Cut(inner, "]")
		if !closed || length != "" && length[0] != '/' {
			fail(l, w, "a [ whose ] is missing, or that something follows", "write it without [ and ]")
			return nil
		}
		w = word{addr + length, w.at + 1}
	}
	from, to, ok := span(l, w)
	if !ok {
		return nil
	}
	return []*listfile.Item{item(w, from, to)}
}

func isAlnum(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 26 }

// prefixes are those that were seen.
type prefixes struct {
	seen    map[netip.Prefix]struct{}
	lengths [129]bool // of them
}

// add is false if p is within one of them.
func (s *prefixes) add(p netip.Prefix) bool {
	for n := range p.Bits() + 1 {
		if s.lengths[n] {
			wider, _ := p.Addr().Prefix(n)
			if _, ok := s.seen[wider]; ok {
				return false
			}
		}
	}
	if s.seen == nil {
		s.seen = make(map[netip.Prefix]struct{})
	}
	s.seen[p], s.lengths[p.Bits()] = struct{}{}, true
	return true
}
