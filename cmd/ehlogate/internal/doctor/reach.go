package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ehlogate/lists"
	"ehlogate/lists/lazyregexp"
	"ehlogate/lists/listfile"
)

// hasAnswers reports whether a list setting queries ehlogate where it speaks the protocol.
func (e *exam) hasAnswers(v view, param, value string) bool {
	return slices.ContainsFunc(splitEntries(value), func(entry string) bool {
		addr, proto := serviceAddress(param, entry)
		p, err := v.parseEndpoint(addr)
		return err == nil && e.protocolAt(p) == proto && v.hasFamily(p)
	})
}

// findPolicy reports whether a restriction list queries the policy service, itself or by a restriction class, and how a
// client that must use TLS may avoid that: the list may end before, or a table names the class for some clients only.
func (e *exam) findPolicy(v view, param string, depth int) (queried bool, how string) {
	classes := splitList(v.value(restrictionClasses))
	for _, entry := range splitEntries(v.value(param)) {
		word, argument, _ := strings.Cut(entry, " ")
		if word == "warn_if_reject" { // it refuses nothing
			continue
		}
		if e.hasAnswers(v, param, entry) {
			return true, how
		}
		class, always := strings.CutPrefix(argument, "static:")
		if argument == "" {
			class, always = entry, true
		}
		if !always {
			class = e.classNamed(v, argument, classes)
		}
		if slices.Contains(classes, class) && depth < maxDepth {
			found, end := e.findPolicy(v, class, depth+1)
			if found && !always {
				end = fmt.Sprintf("%s may name %s for other messages only (%s)", param, class, entry)
			}
			if how = cmp.Or(how, end); found {
				return true, how
			}
			continue
		}
		if word = strings.ToLower(word); !e.permitsNone(v, entry) && (strings.HasPrefix(word, "permit") || strings.HasPrefix(word, "check_")) {
			how = cmp.Or(how, fmt.Sprintf("%s may end at %s", param, entry))
		}
	}
	return false, how
}

// classNamed returns the restriction class that a table names, if its text can be read, or "".
func (e *exam) classNamed(v view, entry string, classes []string) string {
	for _, t := range parseTables(entry) {
		words := strings.FieldsFunc(e.textOf(v, t), func(r rune) bool { return strings.ContainsRune(" \t\n,={}", r) })
		for _, class := range classes {
			if slices.Contains(words, class) {
				return class
			}
		}
	}
	return ""
}

// milterReach reports whether the milter is queried about clients that must use TLS, and about which of them it is not.
// why is the reason if a milter is set, and not queried.
func (e *exam) milterReach(s smtpd) (queried bool, skipped, why string) {
	const overrides = "receive_override_options"
	set := e.hasAnswers(s.view, smtpdMilters, s.value(smtpdMilters))
	if slices.Contains(splitList(s.value(overrides)), "no_milters") {
		if set {
			why = "Postfix queries no policy service, and with " + overrides + " = no_milters no milter"
		}
		return false, "", why
	}
	table := s.value(smtpdMilterMaps)
	if table == "" {
		return set, "", ""
	}
	clients := e.listedClients(lists.Require)
	queriesFor := func(value string) bool { return e.hasAnswers(s.view, smtpdMilters, value) }
	left := slices.Clone(clients)
	for _, entry := range splitEntries(table) {
		found, ok := e.lookUp(s.view, entry, left)
		if !ok {
			return set, "clients in a table that cannot be examined", ""
		}
		for _, a := range sortedAddrs(found) {
			if left = slices.DeleteFunc(left, func(l netip.Addr) bool { return l == a }); !queriesFor(found[a]) {
				skipped = cmp.Or(skipped, a.String())
			}
		}
	}
	if !set && len(left) > 0 {
		return false, "", ""
	}
	return set || len(clients) > 0, skipped, ""
}

// permitsNone reports whether an entry of a restriction list is sure not to permit a client that must use TLS.
func (e *exam) permitsNone(v view, entry string) bool {
	switch strings.ToLower(entry) {
	case "permit_mynetworks": // whose default is the networks of the machine
		at := v.origin("mynetworks")
		return (e.host.saved == "" || at.File != defaultFile) && !e.overlapsNetworks(v, splitList(v.value("mynetworks")), lists.Require)
	case "permit_sasl_authenticated":
		return !v.isYes("smtpd_sasl_auth_enable")
	case "permit_tls_all_clientcerts": // TLS is used
		return true
	}
	return false
}

// overlapsNetworks reports whether a list with an action may match a client in one of the networks. If some are tables, or
// exceptions, only clients of the list are looked at.
func (e *exam) overlapsNetworks(v view, networks []string, action lists.Action) bool {
	if slices.ContainsFunc(networks, func(n string) bool { return n[0] == '!' || tableType.MatchString(n) }) {
		return slices.ContainsFunc(e.listedClients(action), func(a netip.Addr) bool { return e.isInNetworks(v, networks, a) })
	}
	for _, l := range e.config.Lists {
		if l.Action != action || l.Mode != lists.Enforce || !l.IsOfFiles() {
			continue
		}
		list := e.loadFiles(l)
		for _, n := range networks {
			if prefix, err := parseNetwork(n); err != nil || matchesIn(list, prefix) {
				return true
			}
		}
	}
	return false
}

var tableType = lazyregexp.New(`^[a-z]+:`)

// isInNetworks reports whether an address may be in one of the networks; the first that has it decides.
func (e *exam) isInNetworks(v view, networks []string, a netip.Addr) bool {
	for _, n := range networks {
		pattern, excluded := strings.CutPrefix(n, "!")
		prefix, err := parseNetwork(pattern)
		known, has := err == nil, err == nil && prefix.Contains(a)
		if tableType.MatchString(pattern) {
			var found map[netip.Addr]string
			found, known = e.lookUp(v, pattern, []netip.Addr{a})
			has = found[a] != ""
		}
		if has || !known {
			return !excluded || !known
		}
	}
	return false
}

// matchesIn reports whether a list may match a client in a network.
func matchesIn(list *listfile.List, network netip.Prefix) bool {
	if list.Table() == nil || matches(list, network.Masked().Addr()) {
		return true
	}
	for a := range list.Table().Boundaries() {
		if network.Contains(a) && matches(list, a) {
			return true
		}
	}
	return false
}

func matches(list *listfile.List, a netip.Addr) bool {
	return list.Lookup(lists.Client{Addr: a}).Status == lists.Matched
}

// parseNetwork understands an address or a network as in mynetworks: IPv6 in brackets.
func parseNetwork(s string) (netip.Prefix, error) {
	s = strings.NewReplacer("[", "", "]", "").Replace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}
