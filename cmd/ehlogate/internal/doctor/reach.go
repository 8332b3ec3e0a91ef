package doctor

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"ehlogate/lists"
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
		return (e.host.saved == "" || at.File != defaultFile) && !e.overlapsNetworks(splitList(v.value("mynetworks")), lists.Require)
	case "permit_sasl_authenticated":
		return !v.isYes("smtpd_sasl_auth_enable")
	case "permit_tls_all_clientcerts": // TLS is used
		return true
	}
	return false
}

// overlapsNetworks reports whether a list with an action may match a client in one of the networks.
func (e *exam) overlapsNetworks(networks []string, action lists.Action) bool {
	for _, l := range e.config.Lists {
		if l.Action != action || l.Mode != lists.Enforce {
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
