package doctor

import (
	"net/netip"
	"slices"
	"strings"

	"ehlogate/lists/diag"
)

// dropIn is where the limits of the service are set.
const dropIn = "/etc/systemd/system/ehlogate.service.d/dns.conf, then \"systemctl daemon-reload && systemctl restart ehlogate\""

// checkUnit looks whether systemd lets the service query the resolvers, and fetch policies for [guard].
func (e *exam) checkUnit() {
	place := Place{File: "ehlogate.service"}
	text, err := e.host.Unit()
	if err != nil {
		e.addUnread(place, "the unit of the service ("+savedUnit+")", err)
		return
	}
	u := unit(parseSettings(savedUnit, text, new(diag.Problems)))
	if state, ok := u["LoadState"]; len(u) == 0 || ok && state != "loaded" {
		return
	}
	var by []string // the properties that block resolvers
	blocked := 0
	for _, s := range e.resolvers {
		if property := u.blockedBy(s.Addr()); property != "" {
			blocked++
			by = append(by, without([]string{property}, by)...)
		}
	}
	const example = " examples/systemd/dns.conf has the lines to copy."
	switch what := "systemd blocks queries of the service to resolvers: " + strings.Join(by, ", "); {
	case blocked > 0 && blocked == len(e.resolvers):
		e.add(Hazard, "service-no-network", place, what,
			"It cannot query any resolver: DNS lists stay unavailable, no client name is found out, and [guard] must assume a commitment to STARTTLS."+example,
			e.adviseUnit(false))
	case blocked > 0:
		e.add(Warning, "service-no-network", place, what, "It queries the other resolvers, if they answer."+example, e.adviseUnit(false))
	}
	if len(e.config.Guard.Domains) > 0 && blocked < len(e.resolvers) && !u.reachesOthers(e.resolvers) {
		e.add(Warning, "service-no-https", Place{File: "ehlogate.service", Parameter: "IPAddressAllow", Value: u["IPAddressAllow"]},
			"systemd blocks the service from fetching MTA-STS policies",
			"[guard] fetches them by HTTPS from the hosts that serve them. A policy that it cannot fetch counts as a commitment to STARTTLS, and "+
				"then only your own list files suppress. You can name these hosts in place of \"any\"."+example,
			e.adviseUnit(true))
	}
}

// adviseUnit returns the advice to let the service reach the resolvers, or all hosts.
func (e *exam) adviseUnit(all bool) Write {
	w := Write{dropIn, []string{"[Service]", "PrivateNetwork=no", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"}}
	for _, s := range e.resolvers {
		if !s.Addr().IsLoopback() {
			w.Lines = append(w.Lines, "IPAddressAllow="+s.Addr().WithZone("").String())
		}
	}
	if all {
		w.Lines = append(w.Lines, "IPAddressAllow=any")
	}
	return w
}

// unit has the properties of a service by name.
type unit map[string]string

// blockedBy returns the property that blocks an address, or "".
func (u unit) blockedBy(a netip.Addr) string {
	switch {
	case u["PrivateNetwork"] == "yes":
		return "PrivateNetwork=yes"
	case !u.hasFamily(a):
		return "RestrictAddressFamilies=" + u["RestrictAddressFamilies"]
	case u.contains("IPAddressDeny", a) && !u.contains("IPAddressAllow", a):
		return "IPAddressDeny without IPAddressAllow=" + a.String()
	}
	return ""
}

// hasFamily reports whether the service may have sockets of the family of an address. A list after ~ has those that
// it may not have; an empty list is RestrictAddressFamilies=none.
func (u unit) hasFamily(a netip.Addr) bool {
	value, ok := u["RestrictAddressFamilies"]
	if !ok {
		return true
	}
	family := "AF_INET6"
	if a.Unmap().Is4() {
		family = "AF_INET"
	}
	list, denies := strings.CutPrefix(value, "~")
	return slices.Contains(strings.Fields(list), family) != denies
}

func (u unit) contains(property string, a netip.Addr) bool {
	return slices.ContainsFunc(u.prefixes(property), func(p netip.Prefix) bool { return p.Contains(a.Unmap().WithZone("")) })
}

func (u unit) prefixes(property string) (out []netip.Prefix) {
	for _, w := range strings.Fields(u[property]) {
		if p, err := netip.ParsePrefix(w); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// reachesOthers reports whether the service may connect to hosts that are no resolvers. Which hosts it needs is
// unknown here.
func (u unit) reachesOthers(servers []netip.AddrPort) bool {
	if u["PrivateNetwork"] == "yes" || !u.hasFamily(netip.IPv4Unspecified()) && !u.hasFamily(netip.IPv6Unspecified()) {
		return false
	}
	all := slices.ContainsFunc(u.prefixes("IPAddressDeny"), func(p netip.Prefix) bool { return p.Bits() == 0 })
	return !all || slices.ContainsFunc(u.prefixes("IPAddressAllow"), func(p netip.Prefix) bool {
		resolver := slices.ContainsFunc(servers, func(s netip.AddrPort) bool { return p.IsSingleIP() && p.Addr() == s.Addr().Unmap() })
		return !p.Addr().IsLoopback() && !resolver
	})
}
