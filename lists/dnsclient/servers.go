package dnsclient

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"

	"github.com/miekg/dns"
)

const (
	port       = 53
	maxServers = 3 // MAXNS of resolv.conf(5)
)

// SystemServers returns the resolvers of this machine, which /etc/resolv.conf names. It fails if the file cannot be
// read or names no resolver: 127.0.0.1, which resolv.conf(5) has for that, may answer nothing, or for another network.
func SystemServers() ([]netip.AddrPort, error) { return systemServers("/etc/resolv.conf") }

func systemServers(file string) ([]netip.AddrPort, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot find the resolvers of this machine: %w", err)
	}
	servers := ParseResolvConf(text)
	if servers == nil {
		return nil, fmt.Errorf(`%s has no line "nameserver ADDRESS": add one, or name the resolvers in the config`, file)
	}
	return servers, nil
}

// ParseResolvConf returns the resolvers that a resolv.conf(5) names, at most three. What is no address is skipped, as
// the C library does.
func ParseResolvConf(text []byte) (servers []netip.AddrPort) {
	conf, err := dns.ClientConfigFromReader(bytes.NewReader(text))
	if err != nil {
		return nil // which reading from memory does not do
	}
	for _, name := range conf.Servers {
		if a, err := netip.ParseAddr(name); err == nil && len(servers) < maxServers {
			servers = append(servers, netip.AddrPortFrom(a.Unmap(), port))
		}
	}
	return servers
}

// ParseServer parses the IP address of a resolver, with a port if that is not 53: 127.0.0.1, 127.0.0.1:5353, ::1 or
// [::1]:5353. Names would have to be looked up first.
func ParseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("invalid resolver address %q: write an IP address and, if it is not 53, a port, as in 127.0.0.1, 127.0.0.1:5353, ::1 or [::1]:5353", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
