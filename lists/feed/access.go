package feed

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// readAccess reads an access(5) table for client addresses and host names with the default lookups of Postfix: a domain
// matches itself and all names below.
func readAccess(l *listfile.Lines) { readAccessTable(l, false) }

// readAccessExact reads one for a Postfix whose parent_domain_matches_subdomains lacks smtpd_access_maps: a domain matches
// itself only, and with a dot before it all names below.
func readAccessExact(l *listfile.Lines) { readAccessTable(l, true) }

// readAccessTable: the first of equal patterns counts. Postfix looks up names before addresses, longer ones before shorter,
// and the first match is final. In a list an exception for the address is final even if the name is on the list, so a
// table must not have both.
func readAccessTable(l *listfile.Lines, exact bool) {
	t := table{Lines: l}
	t.pattern = func(w word) []*listfile.Item { return parseAccessPattern(l, w, exact) }
	seen := make(map[string]struct{})
	var exceptionLine, nameLine int // the first ones
	t.readRules(func(items []*listfile.Item, isException bool) bool {
		key := strings.ToLower(t.rule.text)
		if _, ok := seen[key]; ok {
			return false
		}
		seen[key] = struct{}{}
		switch {
		case items[0].Kind == iptable.Name && !isException && nameLine == 0:
			nameLine = t.line
		case items[0].Kind == iptable.Address && isException && exceptionLine == 0:
			exceptionLine = t.line
		default:
			return true
		}
		if exceptionLine > 0 && nameLine > 0 {
			l.Fail(0, 0, fmt.Sprintf("DUNNO for an address (line %d) and a host name on the list (line %d): Postfix looks up names first", exceptionLine, nameLine),
				"move the host names into a list of their own")
		}
		return true
	})
}

// parseAccessPattern returns the entries of a pattern.
func parseAccessPattern(l *listfile.Lines, w word, exact bool) []*listfile.Item {
	fail := func(msg, hint string) []*listfile.Item { failAt(l, w, msg, hint); return nil }
	switch {
	case strings.ContainsAny(w.text, `@<"\`):
		return fail(fmt.Sprintf("%q is a pattern for mail addresses", w.text), "move rules about senders and recipients into a table of their own")
	case strings.ContainsAny(w.text, "/["):
		return fail(fmt.Sprintf("%q never matches a client", w.text), "an access table has addresses, and networks by their first octets, as in 192.0.2; for prefixes set format = \"postfix-cidr\"")
	case strings.EqualFold(w.text, "unknown"):
		return fail("no entry of a list can match clients without a verified name, as \"unknown\" does", "remove the rule")
	case strings.Contains(w.text, ":"):
		return parseAccessIPv6(w, fail)
	case strings.Trim(w.text, "0123456789.") == "":
		return parseAccessIPv4(w, fail)
	case !strings.Contains(w.text, ".") && strings.Trim(w.text, "0123456789abcdefABCDEF") == "" && w.text[0] <= '9':
		return fail(fmt.Sprintf("%q may be the first group of IPv6 addresses, or a name", w.text), "for a network set format = \"postfix-cidr\"")
	case strings.HasSuffix(w.text, "."):
		return fail("host name ends with a dot: it never matches a client", "remove the dot")
	case w.text[0] == '.' && !exact:
		return fail(fmt.Sprintf("%q is looked up only where parent_domain_matches_subdomains lacks smtpd_access_maps", w.text),
			"set format = \"postfix-access-exact\" if that is so; else remove the first dot: a domain matches all names below, too")
	}
	name, err := listfile.ParseHostName(w.text)
	if err != nil {
		l.FailSyntax(w.at, err, "a pattern is an address, its first octets or groups, or a host name")
		return nil
	}
	if exact {
		return []*listfile.Item{newName(w, name)}
	}
	return []*listfile.Item{newName(w, name), newName(w, "."+name)}
}

// parseAccessIPv4 parses one to four octets: an address, or all that begin with them.
func parseAccessIPv4(w word, fail func(msg, hint string) []*listfile.Item) []*listfile.Item {
	octets := strings.Split(w.text, ".")
	for _, o := range octets {
		if n, err := strconv.Atoi(o); err != nil || n > 255 || o != strconv.Itoa(n) || len(octets) > 4 {
			return fail(fmt.Sprintf("invalid IPv4 address or first octets %q", w.text), "write one to four decimal octets, as in 192.0.2, without leading zeros and without a dot at the end")
		}
	}
	addr := netip.MustParseAddr(w.text + strings.Repeat(".0", 4-len(octets)))
	return []*listfile.Item{newPrefix(w, netip.PrefixFrom(addr, 8*len(octets)))}
}

// parseAccessIPv6 parses an address, or the groups that addresses begin with. Postfix shortens the text of the client
// address from its end, so patterns that are not in that spelling never match and are errors. A pattern with :: in it
// may also match addresses with more groups; that is hardly meant, and ignored.
func parseAccessIPv6(w word, fail func(msg, hint string) []*listfile.Item) []*listfile.Item {
	const never = "%q never matches a client: Postfix writes addresses differently"
	addr, err := netip.ParseAddr(w.text)
	if err == nil {
		if normal := addr.String(); normal != strings.ToLower(w.text) || addr.Zone() != "" || addr.Is4In6() {
			return fail(fmt.Sprintf(never, w.text), "write "+addr.Unmap().WithZone("").String())
		}
		return []*listfile.Item{newPrefix(w, netip.PrefixFrom(addr, 128))}
	}
	groups := strings.Split(w.text, ":")
	if addr, err = netip.ParseAddr(w.text + "::"); err != nil || strings.Contains(w.text, "::") {
		return fail(fmt.Sprintf("invalid IPv6 address or first groups %q", w.text), "write up to eight groups, as in 2001:db8:1")
	}
	for i, g := range groups {
		if g == "0" && (i == len(groups)-1 || groups[i+1] == "0") || len(g) > 1 && g[0] == '0' {
			return fail(fmt.Sprintf(never, w.text), "for such a network set format = \"postfix-cidr\"")
		}
	}
	return []*listfile.Item{newPrefix(w, netip.PrefixFrom(addr, 16*len(groups)))}
}
