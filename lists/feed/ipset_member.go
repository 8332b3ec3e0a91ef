package feed

import (
	"fmt"
	"net/netip"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// parseMember returns the entries of a member; none if it is invalid or matches no client, which was reported. As ipset
// does, it clears the bits behind a prefix and behind the netmask of the set, and cuts a range into networks.
func (r *ipsets) parseMember(s *ipset, member word) (items []*listfile.Item) {
	const compare = "compare it with the type of the set"
	from, to, err := parseSpan(withoutHostBits(member.text))
	p, isPrefix := netipx.IPRangeFrom(from, to).Prefix()
	switch {
	case err != nil && (!syntaxOf(err).NoClient || s.v6):
		failSyntax(r.Lines, member, err)
	case err != nil || from.Is4() == s.v6 || s.v6 && (!isPrefix || from != to && s.kind != "hash:net"):
		failAt(r.Lines, member, fmt.Sprintf("%s cannot be a member of its set", member.text), compare)
	case isPrefix && p.Bits() == 0:
		failAt(r.Lines, member, fmt.Sprintf("%s is all addresses, which ipset refuses", member.text), "is it the output of \"ipset save\"?")
	case !isPrefix && s.kind == "hash:net":
		for _, p := range netipx.IPRangeFrom(from, to).Prefixes() {
			items = append(items, newPrefix(member, p))
		}
	case s.bits == 0:
		items = append(items, newSpan(member, from, to))
	default:
		last := netipx.PrefixLastIP(netip.PrefixFrom(to, s.bits).Masked())
		items = append(items, newSpan(member, netip.PrefixFrom(from, s.bits).Masked().Addr(), last))
	}
	return items
}

// withoutHostBits returns a prefix with the bits behind it cleared, and other texts as they are.
func withoutHostBits(s string) string {
	if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return p.Masked().String()
	}
	return s
}

// checkAlone reports several sets with members if there is nomatch in one of them.
func (r *ipsets) checkAlone() {
	if r.nomatch > 0 && len(r.filled) > 1 {
		r.Fail(0, len(r.Text), fmt.Sprintf("several sets, and nomatch (line %d), which is about one of them only", r.nomatch), "save each into a file of its own, for a list of its own: ipset save NAME")
	}
}

func (r *ipsets) parseOptions(at int, known map[string]int) (map[string]word, bool) {
	out := make(map[string]word)
	for {
		w := r.nextWord(at)
		if w.text == "" {
			return out, true
		}
		args, ok := known[w.text]
		if !ok {
			failAt(r.Lines, w, fmt.Sprintf("unknown option %q", w.text), "is it the output of \"ipset save\" in its plain format?")
			return nil, false
		}
		value := w
		if args > 0 {
			if value, ok = r.parseArgument(w.endOffset()); !ok {
				failAt(r.Lines, w, fmt.Sprintf("missing value of %q", w.text), "is the line complete?")
				return nil, false
			}
		}
		out[w.text], at = value, skipBytes(r.Text, value.endOffset(), `"`)
	}
}

// parseArgument parses a word, or a text in quotes that has no quotes inside.
func (r *ipsets) parseArgument(at int) (word, bool) {
	w := nextWord(r.Text, at, blanks)
	if !strings.HasPrefix(w.text, `"`) {
		return w, w.text != ""
	}
	text, _, closed := strings.Cut(string(r.Text[w.at+1:]), `"`)
	return word{text, w.at + 1}, closed
}
