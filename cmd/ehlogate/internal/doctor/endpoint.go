package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/config"
)

// endpoint is an address at which a mail server connects to ehlogate.
type endpoint struct {
	network string // tcp or unix
	addr    string // host:port, or the path as seen from outside any jail
	path    string // unix: as it is written
}

func (p endpoint) String() string { return p.addr }

// parseEndpoint understands inet:HOST:PORT and unix:PATH as the service sees them.
func (v view) parseEndpoint(s string) (endpoint, error) {
	transport, rest, _ := strings.Cut(s, ":")
	switch {
	case rest == "":
	case transport == "inet":
		return parseInet(rest)
	case transport == "unix" || transport == "local":
		p := endpoint{network: "unix", path: rest, addr: path.Clean(rest)}
		if v.isChrooted() || !path.IsAbs(rest) {
			p.addr = path.Join(v.value(queueDirectory), rest)
		}
		return p, nil
	}
	return endpoint{}, errors.New("it must be inet:HOST:PORT or unix:PATH")
}

func parseInet(s string) (endpoint, error) {
	if !strings.Contains(s, ":") {
		s = "localhost:" + s // so does Postfix
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" {
		return endpoint{}, errors.New("after inet: it must be HOST:PORT or [IPV6]:PORT")
	}
	return endpoint{network: "tcp", addr: net.JoinHostPort(host, port)}, nil
}

// The protocols, under the names that they have in [listen].
const (
	memcacheProto  = "memcache"
	socketmapProto = "socketmap"
	tcpTableProto  = "tcp_table"
	policyProto    = "policy"
	milterProto    = "milter"
)

// listeners returns where ehlogate listens for a protocol. If the config leaves the addresses to systemd, the sockets
// of the package count too. Without an address for policy or milter, their usual ports count.
func (e *exam) listeners(proto string) []string {
	addrs := e.config.Listen.Addresses[proto]
	switch {
	case !e.config.Listen.Explicit:
		return append(slices.Clip(addrs), path.Join(config.InheritedDir, proto))
	case len(addrs) == 0 && proto == policyProto:
		return []string{"127.0.0.1:10043"}
	case len(addrs) == 0 && proto == milterProto:
		return []string{"127.0.0.1:10044"}
	}
	return addrs
}

// protocolAt returns which protocol ehlogate speaks at an address, or "". The daemon serves inherited sockets beside the
// addresses in [listen].
func (e *exam) protocolAt(p endpoint) string {
	isAt := func(l string) bool { return reaches(p, l) }
	if e.host.Inherited != nil {
		if name, ok := e.host.Inherited(p.network, p.addr); ok {
			file := ""
			if p.network == "unix" {
				file = path.Base(p.addr)
			}
			return e.config.Listen.ProtocolOf(name, isAt, file)
		}
	}
	for _, proto := range config.Protocols {
		if slices.ContainsFunc(e.listeners(proto), isAt) {
			return proto
		}
	}
	return ""
}

func (e *exam) listenText(proto string) string {
	return "For " + proto + ", ehlogate is configured to listen at " + cmp.Or(strings.Join(e.listeners(proto), ", "), "no address") + "."
}

// reaches reports whether a connection to p arrives at the listener.
func reaches(p endpoint, listener string) bool {
	if strings.Contains(listener, "/") || p.network == "unix" {
		return p.network == "unix" && path.Clean(listener) == p.addr
	}
	host, port, err := net.SplitHostPort(p.addr)
	lhost, lport, lerr := net.SplitHostPort(listener)
	ip, _ := netip.ParseAddr(host)
	at, _ := netip.ParseAddr(lhost)
	switch {
	case err != nil || lerr != nil || port != lport:
		return false
	case lhost == "":
		return true
	case host == "localhost": // no other name is known
		return at.IsLoopback() || at.IsUnspecified()
	}
	return ip.IsValid() && (ip.Unmap() == at.Unmap() || at.IsUnspecified() && ip.Unmap().Is4() == at.Unmap().Is4())
}

// isInherited reports whether systemd is known to hold the socket at an address.
func (e *exam) isInherited(p endpoint) (ok bool) {
	if e.host.Inherited != nil {
		_, ok = e.host.Inherited(p.network, p.addr)
	}
	return ok
}

// unjailed returns where the service would connect without its jail.
func (p endpoint) unjailed() endpoint {
	return endpoint{network: p.network, addr: path.Clean(p.path), path: p.path}
}

// reachesEhlogate reports whether a service means ehlogate by an address, even if its jail keeps it from ehlogate.
func (e *exam) reachesEhlogate(v view, addr, proto string) bool {
	p, err := v.parseEndpoint(addr)
	return err == nil && (e.protocolAt(p) != "" || e.protocolAt(p.unjailed()) == proto)
}

// checkEndpoint examines an address at which ehlogate is expected, and then connects to it.
func (e *exam) checkEndpoint(v view, addr, proto string, at Place) {
	if p, ok := e.checkAddress(v, addr, proto, at); ok {
		e.connect(p, proto, at, Warning)
	}
}

// connect connects to an address at which ehlogate is expected. What answers as ehlogate need not be in the config.
func (e *exam) connect(p endpoint, proto string, at Place, away Severity) {
	if isOurs := e.probe(p, proto, at, away); !isOurs && e.protocolAt(p) == "" {
		e.add(Warning, "not-our-address", at, fmt.Sprintf("%s has no listener for %s at %s", e.file, proto, p), e.listenText(proto))
	}
}

// checkAddress examines an address at which ehlogate is expected. ok is false if there is no need to connect to it.
func (e *exam) checkAddress(v view, addr, proto string, at Place) (p endpoint, ok bool) {
	p, err := v.parseEndpoint(addr)
	if err != nil {
		e.add(Hazard, "bad-address", at, fmt.Sprintf("invalid address %q: %v", addr, err), "The daemon that reads it ends with a fatal error.")
		return p, false
	}
	outside, jail := p.unjailed(), v.value(queueDirectory)
	inside, below := strings.CutPrefix(outside.addr, jail+"/")
	if v.isChrooted() && path.IsAbs(p.path) && e.protocolAt(p) == "" && (below || e.protocolAt(outside) != "") {
		if !below {
			inside = "ehlogate/" + proto
		}
		e.add(Hazard, "socket-outside-jail", at, fmt.Sprintf("%s is chrooted, and looks for the socket at %s", v.svc, p.addr),
			"There is no socket: the service connects from inside its jail. Have ehlogate listen below "+jail+", and name that path relative to it.",
			Write{at.File, []string{"unix:" + inside}})
		return p, false
	}
	if p.network == "tcp" && strings.HasPrefix(p.addr, "localhost:") {
		e.add(Warning, "localhost", at, "localhost is two addresses, and ehlogate listens on one of them",
			"A client that tries the other one first loses time. In a jail the name may be unknown.",
			Write{at.File, []string{strings.Replace(addr, "localhost", "127.0.0.1", 1)}})
	}
	if other := e.protocolAt(p); other != proto && other != "" {
		e.addWrongListener(p, proto, other, at)
		return p, false
	}
	e.checkSocketAccess(v.value("mail_owner"), p, at)
	return p, e.checkFamily(v, p, proto, at)
}

// checkFamily reports whether a service can connect to an address: inet_protocols is for that too.
func (e *exam) checkFamily(v view, p endpoint, proto string, at Place) bool {
	if v.hasFamily(p) {
		return true
	}
	why := "No client is suppressed: the backup decides."
	switch proto {
	case socketmapProto, tcpTableProto:
		why = refuses
	case policyProto, milterProto:
		why = "Its default_action decides, and the decision of ehlogate is neither logged nor enforced."
	}
	e.add(Hazard, "address-family", at, fmt.Sprintf("Postfix cannot connect to %s: inet_protocols = %s", p, v.value(inetProtocols)),
		why+" Use a socket file, which needs no protocol, or an address of the other family.", Write{at.File, []string{"unix:ehlogate/" + proto}})
	return false
}

// hasFamily reports whether inet_protocols lets a service connect to an address.
func (v view) hasFamily(p endpoint) bool {
	host, _, err := net.SplitHostPort(p.addr)
	ip, notIP := netip.ParseAddr(host)
	if p.network != "tcp" || err != nil || notIP != nil {
		return true
	}
	want := "ipv6"
	if ip.Is4() {
		want = "ipv4"
	}
	return slices.ContainsFunc(splitList(strings.ToLower(v.value(inetProtocols))), func(w string) bool { return w == "all" || w == want })
}

func (e *exam) addWrongListener(p endpoint, proto, other string, at Place) {
	e.add(Hazard, "wrong-listener", at, fmt.Sprintf("wrong protocol: ehlogate speaks %s at %s, and the mail server speaks %s", other, p, proto),
		"No query is understood: no client is suppressed. "+e.listenText(proto))
}
