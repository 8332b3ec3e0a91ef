package doctor

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// endpoint is where a mail server asks.
type endpoint struct {
	network string // tcp or unix
	addr    string // host:port, or the path as seen from outside any jail
	path    string // unix: as it is written
}

func (p endpoint) String() string { return p.addr }

// endpoint understands inet:HOST:PORT and unix:PATH as the service v sees them.
func (v view) endpoint(s string) (endpoint, error) {
	transport, rest, _ := strings.Cut(s, ":")
	switch {
	case rest == "":
	case transport == "inet":
		return inet(rest)
	case transport == "unix" || transport == "local":
		p := endpoint{network: "unix", path: rest, addr: path.Clean(rest)}
		if v.chrooted() || !path.IsAbs(rest) {
			p.addr = path.Join(v.get(queueDirectory), rest)
		}
		return p, nil
	}
	return endpoint{}, errors.New("it must be inet:HOST:PORT or unix:PATH")
}

func inet(s string) (endpoint, error) {
	if !strings.Contains(s, ":") {
		s = "localhost:" + s // so does Postfix
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" {
		return endpoint{}, errors.New("behind inet: it must be HOST:PORT or [IPV6]:PORT")
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

// listeners gives what ehlogate listens on for a protocol.
func (g *Daemon) listeners(proto string) []string {
	switch proto {
	case memcacheProto:
		return g.Memcache
	case socketmapProto:
		return g.Socketmap
	case tcpTableProto:
		return g.TCPTable
	case policyProto:
		return orDefault(g.Policy, "127.0.0.1:10043")
	case milterProto:
		return orDefault(g.Milter, "127.0.0.1:10044")
	case "http":
		return g.HTTP
	}
	return nil
}

func orDefault(addrs []string, def string) []string {
	if len(addrs) == 0 {
		return []string{def}
	}
	return addrs
}

// protocolAt tells which protocol ehlogate speaks at an address, or "".
func (g *Daemon) protocolAt(p endpoint) string {
	for _, proto := range []string{memcacheProto, socketmapProto, tcpTableProto, policyProto, milterProto, "http"} {
		if slices.ContainsFunc(g.listeners(proto), func(l string) bool { return reaches(p, l) }) {
			return proto
		}
	}
	return ""
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

// isLocalhost tells whether the address is by that name, which is two addresses.
func (p endpoint) isLocalhost() bool {
	return p.network == "tcp" && strings.HasPrefix(p.addr, "localhost:")
}
