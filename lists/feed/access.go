package feed

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ehlogate/lists/diag"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// access reads a table for client addresses and host names. The first of equal patterns counts. The program looks up
// names before addresses, longer ones before shorter, and the first match is final.
//
// In a list an exception for the address is final even if the name is on the list. So if names are on the list, an exception
// for an address is left out where nothing wider is on the list, and is else an error.
type access struct {
	table
	seeds      keySeeds
	names      *set[keyHash]
	networks   map[keyHash]bool // keys but those of names and addrs4: their rules count
	addrs4     *set[[4]byte]    // IPv4 addresses
	exceptions []accessException
	nameLine   int // of the first host name on the list
}

type accessException struct {
	*listfile.Item
	key string
}

// readAccess reads an access(5) table of Postfix, or of Sendmail.
//
// With the default lookups of Postfix a domain matches itself and all names below; where parent_domain_matches_subdomains
// lacks smtpd_access_maps, it matches itself only, and with a dot before it all names below.
func readAccess(l *listfile.Lines, f Filtered) {
	a := access{table: table{results: newResults(l, f), isPostfix: true}, seeds: newKeySeeds(),
		names: newHashSet(), networks: make(map[keyHash]bool), addrs4: newSet4()}
	a.isReached = a.takeRule
	if f.Format == SendmailAccess {
		a.nothing, a.isPostfix = "", false
		a.readSendmail()
	} else {
		a.pattern = func(w word) (listfile.Item, bool) { return parseAccessPattern(l, w, f.Format == PostfixExact) }
		a.readRules()
	}
	a.yieldExceptions()
}

// takeRule reports whether the entry of a rule is to be yielded now.
func (a *access) takeRule(r *logicalLine, exception bool) bool {
	it := &r.item
	key := it.Name
	if it.Kind == iptable.Address {
		key = strings.ToLower(r.pattern.text)
	}
	if a.isPostfix && a.last.isKeyword && (it.Kind != iptable.Address || it.From != it.To) {
		a.SkipLine(r.result.at, len(r.result.text), "Postfix looks up EHLO keywords by complete addresses only", "for networks write a cidr table, with format = \"postfix-cidr\"")
		return false
	}
	if a.isRepeated(key, it, exception) {
		return false
	}
	switch {
	case it.Kind != iptable.Address && !exception && a.nameLine == 0:
		a.nameLine = r.line
	case it.Kind == iptable.Address && exception:
		it.Exception = true
		if r.text == nil {
			r.text = bytes.Clone(a.Text)
		}
		it.SetLine(r.line, r.text)
		kept := *it
		a.exceptions = append(a.exceptions, accessException{&kept, key})
		return false
	}
	return true
}

// isRepeated reports whether a rule before this one has its key, and remembers the key.
func (a *access) isRepeated(key string, it *listfile.Item, exception bool) (repeated bool) {
	if it.Kind != iptable.Address {
		return !a.names.add(hashKey(a.seeds, key))
	}
	if it.From == it.To && it.From.Is4() {
		return !a.addrs4.add(it.From.As4())
	}
	hash := hashKey(a.seeds, key)
	if _, repeated = a.networks[hash]; !repeated {
		a.networks[hash] = !exception
	}
	return repeated
}

func (a *access) yieldExceptions() {
	for _, it := range a.exceptions {
		if a.nameLine == 0 {
			a.Yield(it.Item)
		} else if a.isWithin(it.key) {
			a.Problems.Add(diag.Problem{File: a.Name, Line: it.Line, Msg: fmt.Sprintf("%s is an exception, and a host name is on the list (line %d): the mail server looks up names first", it, a.nameLine),
				Hint: "make two files of it, for a list each: one with the host names, one with the addresses"})
		}
	}
}

// isWithin reports whether a rule for more addresses counts: one whose key is the first octets or groups of key.
func (a *access) isWithin(key string) bool {
	for {
		end := strings.LastIndexAny(key, ".:")
		if end < 0 {
			return false
		}
		if key = key[:end]; a.networks[hashKey(a.seeds, key)] {
			return true
		}
	}
}

func parseAccessPattern(l *listfile.Lines, w word, exact bool) (it listfile.Item, ok bool) {
	fail := func(msg, hint string) (none listfile.Item, ok bool) { failAt(l, w, msg, hint); return none, false }
	skip := func(msg, hint string) (none listfile.Item, ok bool) { skipAt(l, w, msg, hint); return none, false }
	switch {
	case listfile.IsPlainName(w.text):
		return newAccessName(w, w.text, exact), true
	case strings.ContainsAny(w.text, `@<"\`):
		return skip(fmt.Sprintf("%q is a pattern for mail addresses", w.text), "move rules about senders and recipients into a table of their own")
	case strings.ContainsAny(w.text, "/["):
		return skip(fmt.Sprintf("%q never matches a client", w.text), "an access table has addresses, and networks by their first octets, as in 192.0.2; for prefixes set format = \"postfix-cidr\"")
	case strings.EqualFold(w.text, "unknown"):
		return fail("no entry of a list can match clients without a verified name, as \"unknown\" does", "remove the rule")
	case strings.Contains(w.text, ":"):
		return parseAccessIPv6(w, skip)
	case strings.Trim(w.text, "0123456789.") == "":
		return parseAccessIPv4(w, skip)
	case !strings.Contains(w.text, ".") && strings.Trim(w.text, "0123456789abcdefABCDEF") == "" && w.text[0] <= '9':
		return fail(fmt.Sprintf("%q may be the first group of IPv6 addresses, or a name", w.text), "for a network set format = \"postfix-cidr\"")
	case strings.HasSuffix(w.text, "."):
		return skip("host name ends with a dot: it never matches a client", "remove the dot")
	case w.text[0] == '.' && !exact:
		return fail(fmt.Sprintf("%q is looked up only where parent_domain_matches_subdomains lacks smtpd_access_maps", w.text),
			"set format = \"postfix-access-exact\" if that is so; else remove the first dot: a domain matches all names below, too")
	}
	name, err := listfile.ParseHostName(w.text)
	if err != nil {
		skipSyntax(l, w, err, "a pattern is an address, its first octets or groups, or a host name")
		return it, false
	}
	return newAccessName(w, name, exact), true
}

func newAccessName(w word, name string, exact bool) listfile.Item {
	if exact {
		return *newName(w, name)
	}
	return *newDomain(w, name)
}

// parseAccessIPv4 parses one to four octets: an address, or all that begin with them.
func parseAccessIPv4(w word, skip func(msg, hint string) (listfile.Item, bool)) (it listfile.Item, ok bool) {
	octets := strings.Split(w.text, ".")
	for _, o := range octets {
		if n, err := strconv.Atoi(o); err != nil || n > 255 || o != strconv.Itoa(n) || len(octets) > 4 {
			return skip(fmt.Sprintf("invalid IPv4 address or first octets %q", w.text), "write one to four decimal octets, as in 192.0.2, without leading zeros and without a dot at the end")
		}
	}
	addr := netip.MustParseAddr(w.text + strings.Repeat(".0", 4-len(octets)))
	return *newPrefix(w, netip.PrefixFrom(addr, 8*len(octets))), true
}

// parseAccessIPv6 parses an address, or the groups that addresses begin with. Postfix shortens the text of the client
// address from its end, so patterns that are not in that spelling never match and are errors. A pattern with :: in it
// may also match addresses with more groups; that is hardly meant, and ignored.
func parseAccessIPv6(w word, skip func(msg, hint string) (listfile.Item, bool)) (it listfile.Item, ok bool) {
	const never = "%q never matches a client: Postfix writes addresses differently"
	addr, err := netip.ParseAddr(w.text)
	if err == nil {
		if normal := addr.String(); normal != strings.ToLower(w.text) || addr.Zone() != "" || addr.Is4In6() {
			return skip(fmt.Sprintf(never, w.text), "write "+addr.Unmap().WithZone("").String())
		}
		return *newPrefix(w, netip.PrefixFrom(addr, 128)), true
	}
	groups := strings.Split(w.text, ":")
	if addr, err = netip.ParseAddr(w.text + "::"); err != nil || strings.Contains(w.text, "::") {
		return skip(fmt.Sprintf("invalid IPv6 address or first groups %q", w.text), "write up to eight groups, as in 2001:db8:1")
	}
	for i, g := range groups {
		if g == "0" && (i == len(groups)-1 || groups[i+1] == "0") || len(g) > 1 && g[0] == '0' {
			return skip(fmt.Sprintf(never, w.text), "for such a network set format = \"postfix-cidr\"")
		}
	}
	return *newPrefix(w, netip.PrefixFrom(addr, 16*len(groups))), true
}
