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

// Daemon is what ehlogate itself is configured to do.
type Daemon struct {
	File          string   // its config, for messages
	AlwaysHide    []string // keywords that a suppressed client loses besides STARTTLS
	ExplicitOffer bool

	listeners map[string][]string // the addresses by protocol
	config    *config.Config      // for its use of DNS
}

// protocols are in the order in which an address is looked for.
var protocols = []string{memcacheProto, socketmapProto, tcpTableProto, policyProto, milterProto, "http"}

// DaemonFrom returns it from the config. If the config leaves the addresses to systemd, the sockets of the package
// count too. Without an address for policy or milter, their usual ports count.
func DaemonFrom(cfg *config.Config) Daemon {
	d := Daemon{cmp.Or(cfg.File, config.DefaultFile), cfg.AlwaysHide, cfg.ExplicitOffer, make(map[string][]string), cfg}
	usual := map[string]string{policyProto: "127.0.0.1:10043", milterProto: "127.0.0.1:10044"}
	for _, proto := range protocols {
		addrs := slices.Clone(cfg.Listen.Addresses[proto])
		if !cfg.Listen.Explicit {
			addrs = append(addrs, path.Join(config.InheritedDir, proto))
		}
		if len(addrs) == 0 && usual[proto] != "" {
			addrs = []string{usual[proto]}
		}
		d.listeners[proto] = addrs
	}
	return d
}

// protocolAt returns which protocol ehlogate speaks at an address, or "".
func (d *Daemon) protocolAt(p endpoint) string {
	for _, proto := range protocols {
		if slices.ContainsFunc(d.listeners[proto], func(l string) bool { return reaches(p, l) }) {
			return proto
		}
	}
	return ""
}

// listenText describes where ehlogate is configured to listen for a protocol.
func (d *Daemon) listenText(proto string) string {
	return "For " + proto + ", ehlogate is configured to listen at " + cmp.Or(strings.Join(d.listeners[proto], ", "), "no address") + "."
}

// reaches reports whether a connection to p arrives at the listener.
func reaches(p endpoint, listener string) bool {
	if strings.Contains(listener, "/") || p.network == "unix" {
		return p.network == "unix" && path.Clean(listener) == p.addr
	}
	host, port, err := net.SplitHostPort(p.addr)
	lhost, lport, lerr := net.SplitHostPort(listener)
	if err != nil || lerr != nil || port != lport {
		return false
	}
	if lhost == "" {
		return true
	}
	at, err := netip.ParseAddr(lhost)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil { // a name: only localhost is known
		return host == "localhost" && (at.IsLoopback() || at.IsUnspecified())
	}
	return ip.Unmap() == at.Unmap() || at.IsUnspecified() && ip.Unmap().Is4() == at.Unmap().Is4()
}

// outsideJail reports whether only its jail keeps the service from a listener of ehlogate.
func (e *exam) outsideJail(v view, p endpoint, proto string) bool {
	if p.network == "unix" && v.isChrooted() {
		p.addr = p.path
		return e.daemon.protocolAt(p) == proto
	}
	return false
}

// reachesEhlogate reports whether a service means ehlogate by an address.
func (e *exam) reachesEhlogate(v view, addr, proto string) bool {
	p, err := v.parseEndpoint(addr)
	return err == nil && (e.daemon.protocolAt(p) != "" || e.outsideJail(v, p, proto))
}

// checkEndpoint examines an address at which ehlogate is expected, and then connects to it. away is what it costs if
// nothing listens there.
func (e *exam) checkEndpoint(v view, addr, proto string, at Place, away Severity) {
	if p, ok := e.checkAddress(v, addr, proto, at); ok {
		e.probe(p, proto, at, away)
	}
}

// checkAddress examines an address at which ehlogate is expected. ok is false if there is no need to connect to it.
func (e *exam) checkAddress(v view, addr, proto string, at Place) (p endpoint, ok bool) {
	p, err := v.parseEndpoint(addr)
	if err != nil {
		e.addHazard("bad-address", at, fmt.Sprintf("invalid address %q: %v", addr, err), "The daemon that reads it ends with a fatal error.")
		return p, false
	}
	outside := p
	outside.addr = path.Clean(p.path)
	jail := v.value(queueDirectory)
	below := strings.HasPrefix(outside.addr, jail+"/")
	if p.network == "unix" && v.isChrooted() && path.IsAbs(p.path) && e.daemon.protocolAt(p) == "" && (below || e.daemon.protocolAt(outside) != "") {
		inside := "unix:ehlogate/" + proto
		if below {
			inside = "unix:" + strings.TrimPrefix(outside.addr, jail+"/")
		}
		e.addHazard("socket-outside-jail", at, fmt.Sprintf("%s is chrooted, and looks for the socket at %s", v.svc, p.addr),
			"There is no socket: the service connects from inside its jail. Have ehlogate listen below "+jail+", and name that path relative to it.",
			Write{at.File, []string{inside}})
		return p, false
	}
	if p.network == "tcp" && strings.HasPrefix(p.addr, "localhost:") {
		e.addWarning("localhost", at, "localhost is two addresses, and ehlogate listens on one of them",
			"A client that tries the other one first loses time. In a jail the name may be unknown.",
			Write{at.File, []string{strings.Replace(addr, "localhost", "127.0.0.1", 1)}})
	}
	switch other := e.daemon.protocolAt(p); other {
	case proto:
	case "":
		e.addWarning("not-our-address", at, fmt.Sprintf("%s has no listener for %s at %s", e.daemon.File, proto, p),
			e.daemon.listenText(proto))
	default:
		e.wrongListener(p, proto, other, at)
		return p, false
	}
	return p, true
}

// wrongListener adds that a mail server connects to the listener of another protocol.
func (e *exam) wrongListener(p endpoint, proto, other string, at Place) {
	e.addHazard("wrong-listener", at, fmt.Sprintf("wrong protocol: ehlogate speaks %s at %s, and the mail server speaks %s", other, p, proto),
		"No query is understood: no client is suppressed. "+e.daemon.listenText(proto))
}
