package feed

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/listfile"
)

// readAccess reads an access(5) table for client addresses and host names, as
// Postfix looks into it unless told otherwise: a domain is found for itself and
// for all names below.
func readAccess(l *listfile.Lines) { accessTable(l, false) }

// readAccessExact reads one for a Postfix whose
// parent_domain_matches_subdomains has no smtpd_access_maps: a domain is found
// for itself only, and with a dot before it for all names below.
func readAccessExact(l *listfile.Lines) { accessTable(l, true) }

// accessTable: the first of equal patterns is in the table. Names are asked
// before addresses, longer ones before shorter, and what is found first is
// final. In a list a hole about the address is final even if the name is on the
// list, so a table must not have both.
func accessTable(l *listfile.Lines, exact bool) {
	t := table{Lines: l}
	t.pattern = func(w word) []*listfile.Item { return accessPattern(l, w, exact) }
	seen := make(map[string]struct{})
	var hole, named int // their first lines
	t.read(func(items []*listfile.Item, isHole bool) bool {
		key := strings.ToLower(t.rule.text)
		if _, ok := seen[key]; ok {
			return false
		}
		seen[key] = struct{}{}
		switch {
		case items[0].Kind == listfile.Name && !isHole && named == 0:
			named = t.line
		case items[0].Kind == listfile.Address && isHole && hole == 0:
			hole = t.line
		default:
			return true
		}
		if hole > 0 && named > 0 {
			l.Fail(0, 0, fmt.Sprintf("DUNNO for an address (line %d) and a host name on the list (line %d): Postfix asks by name first", hole, named),
				"move the host names into a list of their own")
		}
		return true
	})
}

// accessPattern gives the entries that a pattern stands for.
func accessPattern(l *listfile.Lines, w word, exact bool) []*listfile.Item {
	bad := func(msg, hint string) []*listfile.Item { fail(l, w, msg, hint); return nil }
	switch {
	case strings.ContainsAny(w.text, `@<"\`):
		return bad(fmt.Sprintf("%q is about mail addresses; clients are hosts", w.text), "write rules about senders and recipients into a table of their own")
	case strings.ContainsAny(w.text, "/["):
		return bad(fmt.Sprintf("%q is found by no client", w.text), "an access table has addresses, and networks by their first octets, as in 192.0.2; for prefixes set format = \"postfix-cidr\"")
	case strings.EqualFold(w.text, "unknown"):
		return bad("by \"unknown\" Postfix finds clients without a verified name, which no entry of a list can stand for", "delete the rule")
	case strings.Contains(w.text, ":"):
		return accessIPv6(w, bad)
	case strings.Trim(w.text, "0123456789.") == "":
		return accessIPv4(w, bad)
	case !strings.Contains(w.text, ".") && strings.Trim(w.text, "0123456789abcdefABCDEF") == "" && w.text[0] <= '9':
		return bad(fmt.Sprintf("%q may be the first group of IPv6 addresses, or a name", w.text), "for a network set format = \"postfix-cidr\"")
	}
	return accessName(l, w, exact, bad)
}

func accessName(l *listfile.Lines, w word, exact bool, bad func(msg, hint string) []*listfile.Item) []*listfile.Item {
	switch {
	case strings.HasSuffix(w.text, "."):
		return bad("no client has a name with a dot at its end", "write it without")
	case w.text[0] == '.' && !exact:
		return bad(fmt.Sprintf("%q is looked up only where parent_domain_matches_subdomains lacks smtpd_access_maps", w.text),
			"set format = \"postfix-access-exact\" if that is so; else write it without the first dot, which is all names below, too")
	}
	name, ok := listfile.ParseHostName(w.text, func(at, width int, msg, hint string) {
		l.Fail(w.at+at, width, msg, cmp.Or(hint, "a pattern is an address, its first octets or groups, or a host name"))
	})
	if !ok {
		return nil
	}
	out := []*listfile.Item{{Kind: listfile.Name, Name: name, Col: w.at + 1, Width: len(w.text)}}
	if !exact {
		out = append(out, &listfile.Item{Kind: listfile.Name, Name: "." + name, Col: w.at + 1, Width: len(w.text)})
	}
	return out
}

// accessIPv4 reads one to four octets: an address, or what begins with them.
func accessIPv4(w word, bad func(msg, hint string) []*listfile.Item) []*listfile.Item {
	octets := strings.Split(w.text, ".")
	for _, o := range octets {
		if n, err := strconv.Atoi(o); err != nil || n > 255 || o != strconv.Itoa(n) || len(octets) > 4 {
			return bad(fmt.Sprintf("%q is no IPv4 address and no beginning of one", w.text), "write one to four decimal octets, as in 192.0.2, without leading zeros and without a dot at the end")
		}
	}
	addr := netip.MustParseAddr(w.text + strings.Repeat(".0", 4-len(octets)))
	return network(w, netip.PrefixFrom(addr, 8*len(octets)))
}

// accessIPv6 reads an address, or the groups that the text of addresses begins
// with. Postfix shortens the text of the client's address from its end, so
// what it never comes by is refused. It may also come by the text of an address
// with :: in it, from one with more groups behind; that is not what anybody
// means, and not taken over.
func accessIPv6(w word, bad func(msg, hint string) []*listfile.Item) []*listfile.Item {
	addr, err := netip.ParseAddr(w.text)
	if err == nil {
		if normal := addr.String(); normal != strings.ToLower(w.text) || addr.Zone() != "" || addr.Is4In6() {
			return bad(fmt.Sprintf("%q is found by no client", w.text), "write "+addr.Unmap().WithZone("").String())
		}
		return network(w, netip.PrefixFrom(addr, 128))
	}
	groups := strings.Split(w.text, ":")
	if addr, err = netip.ParseAddr(w.text + "::"); err != nil || strings.Contains(w.text, "::") {
		return bad(fmt.Sprintf("%q is no IPv6 address and no beginning of one", w.text), "write up to eight groups, as in 2001:db8:1")
	}
	for i, g := range groups {
		if g == "0" && (i == len(groups)-1 || groups[i+1] == "0") || len(g) > 1 && g[0] == '0' {
			return bad(fmt.Sprintf("addresses that begin with %q are not found by that: it is not how they are written", w.text), "for such a network set format = \"postfix-cidr\"")
		}
	}
	return network(w, netip.PrefixFrom(addr, 16*len(groups)))
}

// network gives the entry for a prefix.
func network(w word, p netip.Prefix) []*listfile.Item {
	r := netipx.RangeOfPrefix(p)
	return []*listfile.Item{item(w, r.From(), r.To())}
}
