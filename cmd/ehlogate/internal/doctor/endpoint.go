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

// protocols are in the order in which an address is looked for.
var protocols = []string{memcacheProto, socketmapProto, tcpTableProto, policyProto, milterProto, "http"}

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

// protocolAt returns which protocol ehlogate speaks at an address, or "".
func (e *exam) protocolAt(p endpoint) string {
	for _, proto := range protocols {
		if slices.ContainsFunc(e.listeners(proto), func(l string) bool { return reaches(p, l) }) {
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
		e.probe(p, proto, at, Warning)
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
	switch other := e.protocolAt(p); other {
	case proto:
	case "":
		e.add(Warning, "not-our-address", at, fmt.Sprintf("%s has no listener for %s at %s", e.file, proto, p), e.listenText(proto))
	default:
		e.addWrongListener(p, proto, other, at)
		return p, false
	}
	return p, true
}

func (e *exam) addWrongListener(p endpoint, proto, other string, at Place) {
	e.add(Hazard, "wrong-listener", at, fmt.Sprintf("wrong protocol: ehlogate speaks %s at %s, and the mail server speaks %s", other, p, proto),
		"No query is understood: no client is suppressed. "+e.listenText(proto))
}
