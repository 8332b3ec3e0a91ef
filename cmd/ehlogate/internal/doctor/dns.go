package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/diag"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

func (e *exam) configPlace(key string, value any) Place {
	return Place{File: e.file, Parameter: key, Value: fmt.Sprint(value)}
}

// checkDNSWait looks whether a client of ehlogate has a shorter timeout than an answer that waits for DNS. If so,
// then says what follows.
func (e *exam) checkDNSWait(client, timeout string, at Place, severity Severity, then string) {
	const overhead = 100 * time.Millisecond // of an answer, besides the wait
	c := e.config
	limit, ok := parseTime(timeout)
	if !c.UsesDNS() || !ok || limit == 0 || c.DNS.Wait+overhead <= limit {
		return
	}
	e.add(severity, "wait-too-long", at,
		fmt.Sprintf("an answer may take %v (dns.wait), and the timeout of %s is %v", c.DNS.Wait, client, limit),
		then+" That may be each client that is not in the DNS cache of ehlogate, whenever DNS is slow.", e.inSection("dns", `wait = "300ms"`))
}

// checkNameEntries looks for entries that need a client's name where the mail server does not send it.
func (e *exam) checkNameEntries(server, how string) {
	if e.config.DNS.VerifyNames {
		return
	}
	if names := e.listsThat(e.usesNames); names != "" {
		e.add(Warning, "names-never-count", e.configPlace("dns.verify_names", false),
			fmt.Sprintf("the host names in %s never match: %s queries %s", names, server, how),
			"ehlogate can find out the names by reverse DNS, and confirm them. That needs a resolver and, with systemd, examples/systemd/dns.conf.",
			e.inSection("dns", "verify_names = true"))
	}
}

// checkListOrder looks for files that suppress behind a list that needs DNS.
func (e *exam) checkListOrder() {
	for l, before := range e.config.BehindDNS(e.usesNames) {
		e.add(Warning, "suppress-behind-dns", e.configPlace("list", l.Name),
			fmt.Sprintf("list %q suppresses no client while DNS fails: list %q comes first", l.Name, before.Name),
			fmt.Sprintf("A list that cannot answer ends the decision with an offer, since it could have had the client. Put the [[list]] section of %q "+
				"above that of %q, if its lines should count in any case.", l.Name, before.Name))
	}
}

// listsThat names the lists of the config that match; "" if none does.
func (e *exam) listsThat(match func(config.List) bool) string {
	var names []string
	for _, l := range e.config.Lists {
		if match(l) {
			names = append(names, fmt.Sprintf("list %q", l.Name))
		}
	}
	return strings.Join(names, ", ")
}

func (e *exam) usesNames(l config.List) bool {
	if l.IsDNSList() {
		return slices.ContainsFunc(l.Zones.Zones, byName)
	}
	if l.IsLearned() {
		return false
	}
	return e.loadFiles(l).UsesNames()
}

// usesAddresses reports whether a list has entries about addresses.
func (e *exam) usesAddresses(l config.List) bool {
	if l.IsDNSList() {
		return slices.ContainsFunc(l.Zones.Zones, func(z dnsbl.Zone) bool { return !z.ByName })
	}
	if l.IsLearned() {
		return true
	}
	table := e.loadFiles(l).Table()
	if table == nil {
		return false
	}
	for range table.Boundaries() {
		return true
	}
	return false
}

// usesHELO reports whether a list has HELO names.
func (e *exam) usesHELO(l config.List) bool {
	table := e.loadFiles(l).Table()
	return table != nil && table.HasHELONames()
}

// loadFiles reads the files of a list. If it cannot, it reports that and returns what it has.
func (e *exam) loadFiles(l config.List) *listfile.List {
	if s, ok := e.loaded[l.Name]; ok {
		return s
	}
	spec := e.host.localSpec(l.Spec)
	spec.MinEntries, spec.ExpireAfter = 0, 0 // they would hide the entries
	s, err := listfile.New(spec, time.Now).Load()
	var ps *diag.Problems
	if errors.As(err, &ps) && ps.First[0].Hint == filewatch.NoMatchHint && !slices.Equal(spec.Patterns, l.Spec.Patterns) {
		err = errNotCopied // to where the pattern looks for it
	}
	if err != nil {
		e.addUnread(e.configPlace("list", l.Name), fmt.Sprintf("list %q", l.Name), firstLine(err))
	}
	e.loaded[l.Name] = s
	return s
}

// firstLine returns the first of several errors: "ehlogate check" has the others.
func firstLine(err error) error {
	var ps *diag.Problems
	if errors.As(err, &ps) {
		return errors.New(ps.First[0].Position() + ": " + ps.First[0].Msg)
	}
	return err
}

// findResolvers finds the resolvers that ehlogate queries, and where they are set.
func (e *exam) findResolvers() {
	e.resolvers, e.resolversAt = e.config.DNS.Resolvers, e.configPlace("dns.resolvers", "")
	if len(e.resolvers) == 0 {
		var err error
		e.resolversAt = Place{File: resolvConf, Parameter: "nameserver"}
		if e.resolvers, err = e.host.Resolvers(); errors.Is(err, errNotCopied) {
			e.addUnread(e.resolversAt, resolvConf, err)
			return
		}
		if err != nil || len(e.resolvers) == 0 { // as the daemon does
			e.resolvers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
		}
	}
	e.resolversAt.Value = joinAddresses(e.resolvers)
}

func joinAddresses(servers []netip.AddrPort) string {
	var out []string
	for _, s := range servers {
		out = append(out, addressText(s))
	}
	return strings.Join(out, ", ")
}

func addressText(s netip.AddrPort) string {
	if s.Port() == 53 {
		return s.Addr().String()
	}
	return s.String()
}

func (e *exam) checkResolverAddresses() {
	c := e.config
	e.findResolvers()
	at := e.resolversAt
	usesLists := slices.ContainsFunc(c.Lists, func(l config.List) bool { return l.IsDNSList() })
	write := e.inSection("dns", `resolvers = ["127.0.0.1"]`)
	remote := slices.DeleteFunc(slices.Clone(e.resolvers), func(s netip.AddrPort) bool { return s.Addr().IsLoopback() })
	var private []netip.AddrPort
	for _, s := range remote {
		operator := findOperator(s.Addr())
		if operator == "" || !usesLists {
			private = append(private, s)
			continue
		}
		e.add(Warning, "public-resolver", at, fmt.Sprintf("%s is a public resolver (%s)", s.Addr(), operator),
			"Most DNS lists do not answer queries through a public resolver, or only a limited number for all its users together: they return an error code "+
				"(127.255.255.254), or no listing for any address.", write)
	}
	if len(remote) > 0 && len(c.Guard.Domains) > 0 {
		e.add(Warning, "dane-unsure", at, fmt.Sprintf("[guard] cannot validate DANE through %s: the resolver must be on loopback", joinAddresses(remote)),
			"An attacker on the path could forge the AD bit of DNSSEC. So TLSA records count as a commitment to STARTTLS, secured or not, and while they "+
				"are published, only your own list files suppress.", write)
	}
	if len(private) > 0 && c.UsesDNS() {
		e.add(Note, "distant-resolver", at, fmt.Sprintf("%s is not on this machine", joinAddresses(private)),
			"Every host on the path sees which clients connect to you, and the network delay is a part of dns.wait. "+
				"A validating resolver on this machine is best.", write)
	}
}

// publicResolvers are those that are open to all clients, by their operators.
var publicResolvers = map[string]string{
	"Google":     "8.8.8.8 8.8.4.4 2001:4860:4860::8888 2001:4860:4860::8844",
	"Cloudflare": "1.1.1.1 1.0.0.1 2606:4700:4700::1111 2606:4700:4700::1001",
	"Quad9":      "9.9.9.9 149.112.112.112 2620:fe::fe 2620:fe::9 9.9.9.10 149.112.112.10 2620:fe::10 2620:fe::fe:10 9.9.9.11 149.112.112.11 2620:fe::11 2620:fe::fe:11",
	"OpenDNS":    "208.67.222.222 208.67.220.220 2620:119:35::35 2620:119:53::53",
}

func findOperator(resolver netip.Addr) string {
	for operator, addrs := range publicResolvers {
		if slices.Contains(strings.Fields(addrs), resolver.String()) {
			return operator
		}
	}
	return ""
}
