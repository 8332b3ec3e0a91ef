package dnsclient

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
)

const (
	port       = 53
	maxServers = 3 // MAXNS of resolv.conf(5)
)

// SystemServers gives the resolvers of this machine, the nameserver lines of
// resolv.conf(5): at most three, and an error if there is none.
func SystemServers() ([]netip.AddrPort, error) { return systemServers("/etc/resolv.conf") }

func systemServers(file string) ([]netip.AddrPort, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("looking for the resolvers of this machine: %w", err)
	}
	var servers []netip.AddrPort
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		// The C library skips what it cannot read, too.
		if a, err := netip.ParseAddr(words[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(a.Unmap(), port))
		}
	}
	if servers == nil {
		return nil, fmt.Errorf(`%s has no line "nameserver ADDRESS": add one, or say whom to ask`, file)
	}
	return servers, nil
}

// ParseServer reads an IP address, with a port if it is not 53: 127.0.0.1,
// 127.0.0.1:5353, ::1 or [::1]:5353. Names would have to be looked up first.
func ParseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address of a resolver: write an IP address and, if it is not 53, a port, as in 127.0.0.1, 127.0.0.1:5353, ::1 or [::1]:5353", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
