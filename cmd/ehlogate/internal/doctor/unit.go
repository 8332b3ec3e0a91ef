package doctor

import (
	"net/netip"
	"slices"
	"strings"
)

// dropIn is where what the service may do is set.
const dropIn = "/etc/systemd/system/ehlogate.service.d/dns.conf, then \"systemctl daemon-reload && systemctl restart ehlogate\""

// service looks whether systemd lets the service ask these resolvers, and
// [guard] fetch policies.
func (e *exam) service(servers []netip.AddrPort) {
	text, err := e.host.Unit()
	if err != nil {
		e.unread(Place{File: "ehlogate.service"}, "the unit of the service ("+savedUnit+")", err)
		return
	}
	u := parseUnit(text)
	if state, ok := u["LoadState"]; len(u) == 0 || ok && state != "loaded" {
		return
	}
	var why []string // at first, of each resolver that cannot be asked
	blocked := 0
	for _, s := range servers {
		if reason := u.blocks(s.Addr()); reason != "" {
			blocked++
			if !slices.Contains(why, reason) {
				why = append(why, reason)
			}
		}
	}
	const copied = " examples/systemd/dns.conf has the lines to copy."
	if blocked > 0 {
		f := Finding{
			ID: "service-no-network", Severity: Warning, Place: Place{File: "ehlogate.service"},
			What:  "systemd keeps the service from asking resolvers: " + strings.Join(why, ", "),
			Why:   "The others are asked in their place, if they answer." + copied,
			Write: e.allow(servers, false),
		}
		if blocked == len(servers) {
			f.Severity = Hazard
			f.Why = "It cannot ask any resolver, so lists by DNS never load, no name is found out, and [guard] has to assume that STARTTLS was promised." + copied
		}
		e.add(f)
	}
	if len(e.gate.config.Guard.Domains) > 0 && blocked < len(servers) && !u.reachesOthers(servers) {
		e.add(Finding{
			ID: "service-no-https", Severity: Warning, Place: Place{File: "ehlogate.service", Parameter: "IPAddressAllow", Value: u["IPAddressAllow"]},
			What: "systemd keeps the service from fetching MTA-STS policies",
			Why: "[guard] gets them by HTTPS from the hosts that serve them. One that it cannot get counts as a promise, whatever it says, and " +
				"while it stands your own list files alone suppress. These hosts can be named in place of any." + copied,
			Write: e.allow(servers, true),
		})
	}
}

// allow is the advice to let the service out.
func (e *exam) allow(servers []netip.AddrPort, all bool) Write {
	w := Write{dropIn, []string{"[Service]", "PrivateNetwork=no", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"}}
	for _, s := range servers {
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

func parseUnit(text string) unit {
	u := make(unit)
	for l := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(l), "="); ok {
			u[name] = value
		}
	}
	return u
}

// blocks says by what the service is kept from an address; empty if it is not.
func (u unit) blocks(a netip.Addr) string {
	switch {
	case u["PrivateNetwork"] == "yes":
		return "PrivateNetwork=yes"
	case !u.speaks(a):
		return "RestrictAddressFamilies=" + u["RestrictAddressFamilies"]
	case u.within("IPAddressDeny", a) && !u.within("IPAddressAllow", a):
		return "IPAddressDeny, and no IPAddressAllow of " + a.String()
	}
	return ""
}

// speaks says whether the service may have sockets for such an address. What is
// behind a ~ may not; an empty list is RestrictAddressFamilies=none.
func (u unit) speaks(a netip.Addr) bool {
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

// within says whether one of the prefixes holds the address.
func (u unit) within(property string, a netip.Addr) bool {
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

// reachesOthers reports whether the service may speak with hosts that are no
// resolvers. Which hosts these should be is not known here.
func (u unit) reachesOthers(servers []netip.AddrPort) bool {
	if u["PrivateNetwork"] == "yes" || !u.speaks(netip.IPv4Unspecified()) && !u.speaks(netip.IPv6Unspecified()) {
		return false
	}
	all := slices.ContainsFunc(u.prefixes("IPAddressDeny"), func(p netip.Prefix) bool { return p.Bits() == 0 })
	return !all || slices.ContainsFunc(u.prefixes("IPAddressAllow"), func(p netip.Prefix) bool {
		resolver := slices.ContainsFunc(servers, func(s netip.AddrPort) bool { return p.IsSingleIP() && p.Addr() == s.Addr().Unmap() })
		return !p.Addr().IsLoopback() && !resolver
	})
}
