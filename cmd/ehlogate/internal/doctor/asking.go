package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/listfile"
)

// asking looks over what ehlogate asks others, and whether it can.
func (e *exam) asking(ctx context.Context) {
	c := e.gate.config
	e.unguarded()
	if !c.UsesDNS() && len(c.Guard.Domains) == 0 {
		return
	}
	servers, at := e.resolvers()
	e.distant(servers, at)
	e.service(servers)
	e.askDNS(ctx, servers, at)
}

// setting is a place in the config of ehlogate.
func (e *exam) setting(key string, value any) Place {
	return Place{File: e.gate.File, Parameter: key, Value: fmt.Sprint(value)}
}

// in is the advice to write something into a section of that config.
func (e *exam) in(section string, lines ...string) Write {
	return Write{e.gate.File + ", in [" + section + "]", lines}
}

// late looks whether a client of ehlogate waits for an answer that waits for DNS. If not, then
// says what follows.
func (e *exam) late(client, timeout string, at Place, severity Severity, then string) {
	const way = 100 * time.Millisecond // what an answer needs beside the wait
	c := e.gate.config
	limit, ok := duration(timeout)
	if !c.UsesDNS() || !ok || limit == 0 || c.DNS.Wait+way <= limit {
		return
	}
	e.add(Finding{
		ID: "wait-too-long", Severity: severity, Place: at,
		What:  fmt.Sprintf("an answer may take %v (dns.wait), and %s waits for %v", c.DNS.Wait, client, limit),
		Why:   then + " That is each that is not in memory, whenever DNS is slow.",
		Write: e.in("dns", `wait = "300ms"`),
	})
}

// names looks for entries that need a client's name where the mail server does not
// pass it on.
func (e *exam) names(server, how string) {
	c := e.gate.config
	if c.DNS.VerifyNames {
		return
	}
	var with []string
	for _, l := range c.Lists {
		if e.usesNames(l) {
			with = append(with, fmt.Sprintf("list %q", l.Name))
		}
	}
	if len(with) == 0 {
		return
	}
	e.add(Finding{
		ID: "names-never-count", Severity: Warning, Place: e.setting("dns.verify_names", false),
		What: fmt.Sprintf("host names decide in %s, and %s asks %s", strings.Join(with, ", "), server, how),
		Why: "At EHLO these entries never count. ehlogate can find out the names, by reverse DNS that is confirmed. " +
			"It takes a resolver and, with systemd, examples/systemd/dns.conf.",
		Write: e.in("dns", "verify_names = true"),
	})
}

func (e *exam) usesNames(l config.List) bool {
	if l.IsDNSList() {
		return slices.ContainsFunc(l.Zones.Zones, byName)
	}
	spec := l.Spec
	spec.Patterns = nil
	for _, p := range l.Spec.Patterns {
		spec.Patterns = append(spec.Patterns, e.host.List(p))
	}
	spec.MinEntries, spec.ExpireAfter = 0, 0 // they would hide what it holds
	s, err := listfile.New(spec, time.Now).Load()
	if err == nil && len(s.Status().Files) == 0 {
		err = errNotCopied // to wherever the pattern looks for it
	}
	if err != nil {
		e.unread(Place{File: e.gate.File, Parameter: "list", Value: l.Name}, fmt.Sprintf("list %q", l.Name), firstLine(err))
	}
	return s.UsesNames()
}

// firstLine leaves the rest of what is wrong to check.
func firstLine(err error) error {
	var ps *listfile.Problems
	if errors.As(err, &ps) {
		return errors.New(ps.First[0].Pos() + ": " + ps.First[0].Msg)
	}
	return err
}

// resolvers are those that ehlogate asks, and where that is set.
func (e *exam) resolvers() (servers []netip.AddrPort, at Place) {
	servers = e.gate.config.DNS.Resolvers
	if len(servers) > 0 {
		return servers, e.setting("dns.resolvers", addresses(servers))
	}
	at = Place{File: resolvConf, Parameter: "nameserver"}
	servers, err := e.host.Resolvers()
	switch {
	case errors.Is(err, errNotCopied):
		e.unread(at, resolvConf, err)
		return nil, at
	case err != nil || len(servers) == 0: // as the daemon does
		servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	at.Value = addresses(servers)
	return servers, at
}

// addresses are in the form of the config.
func addresses(servers []netip.AddrPort) string {
	var out []string
	for _, s := range servers {
		out = append(out, address(s))
	}
	return strings.Join(out, ", ")
}

func address(s netip.AddrPort) string {
	if s.Port() == 53 {
		return s.Addr().String()
	}
	return s.String()
}

// distant looks for resolvers that are not on this machine.
func (e *exam) distant(servers []netip.AddrPort, at Place) {
	c := e.gate.config
	byDNS := slices.ContainsFunc(c.Lists, func(l config.List) bool { return l.IsDNSList() })
	var away, plain []netip.AddrPort
	for _, s := range servers {
		if s.Addr().IsLoopback() {
			continue
		}
		away = append(away, s)
		whose := public[s.Addr()]
		if whose == "" || !byDNS {
			plain = append(plain, s)
			continue
		}
		e.add(Finding{
			ID: "public-resolver", Severity: Warning, Place: at,
			What: fmt.Sprintf("%s is a public resolver (%s)", s.Addr(), whose),
			Why: "Most DNS lists do not answer queries through a public resolver, or only a limited number for all its users together: they return an error code " +
				"(127.255.255.254), or no listing for any address.",
			Write: e.in("dns", ownResolver),
		})
	}
	if len(away) == 0 {
		return
	}
	if len(c.Guard.Domains) > 0 {
		e.add(Finding{
			ID: "dane-unsure", Severity: Warning, Place: at,
			What: fmt.Sprintf("[guard] cannot look for DANE through %s: a resolver is believed about DNSSEC on loopback only", addresses(away)),
			Why: "An attacker on the path could forge the AD bit. TLSA records that are found count as a promise, secured or not, and " +
				"while they stand your own list files alone suppress.",
			Write: e.in("dns", ownResolver),
		})
	}
	if c.UsesDNS() && len(plain) > 0 {
		e.add(Finding{
			ID: "distant-resolver", Severity: Note, Place: at,
			What: fmt.Sprintf("%s is not on this machine", addresses(plain)),
			Why: "Every host on the path sees which clients connect to you, and the network delay is a part of dns.wait. " +
				"A validating resolver on this machine is best.",
			Write: e.in("dns", ownResolver),
		})
	}
}

const ownResolver = `resolvers = ["127.0.0.1"]`

// public are resolvers that are open to all.
var public = func() map[netip.Addr]string {
	m := make(map[netip.Addr]string)
	for operator, addrs := range map[string]string{
		"Google":     "8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844",
		"Cloudflare": "1.1.1.1 1.0.0.1 2606:4700:4700::1111 2606:4700:4700::1001",
		"Quad9":      "9.9.9.9 149.112.112.112 2620:fe::fe 2620:fe::9 9.9.9.10 149.112.112.10 2620:fe::10 2620:fe::fe:10 9.9.9.11 149.112.112.11 2620:fe::11 2620:fe::fe:11",
		"OpenDNS":    "208.67.222.222 208.67.220.220 2620:119:35::35 2620:119:53::53",
	} {
		for a := range strings.FieldsSeq(addrs) {
			m[netip.MustParseAddr(a)] = operator
		}
	}
	return m
}()
