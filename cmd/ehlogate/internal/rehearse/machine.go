package rehearse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"

	"ehlogate/cmd/ehlogate/internal/nft"
)

// Interface is one of a machine's.
type Interface struct {
	Name  string
	Addrs []netip.Prefix // each with the network in which it lies
}

// Machine is one that rules are for.
type Machine struct {
	Interfaces []Interface
	Own        []netip.Addr // addresses that it has besides, on loopback
	// Out4 and Out6 are the interfaces through which it reaches those who are far
	// away, empty if it does not.
	Out4, Out6 string
	// Relays are neighbours that send the gateway's mail on, if it does not do so
	// itself.
	Relays []netip.Addr
	// Rules are those that it has already, for nft -f.
	Rules string
	// Via gives the interface through which it reaches an address that is in none
	// of its networks, empty if there is none; nil: it reaches no such address.
	Via func(netip.Addr) string
}

// Who is far away: addresses that no rule takes for made-up ones, as it would
// those for documentation, of a service that nobody has to reach (AS112, RFC 7534
// and RFC 7535).
var (
	far4 = netip.MustParseAddr("192.31.196.25")
	far6 = netip.MustParseAddr("2620:4f:8000::25")
)

// ThisMachine is the one, or the network namespace, that we are in.
func ThisMachine(ctx context.Context) (Machine, error) {
	m := Machine{Via: func(a netip.Addr) string { return via(ctx, a) }}
	m.Out4, m.Out6 = m.Via(far4), m.Via(far6)
	all, err := net.Interfaces()
	if err != nil {
		return m, fmt.Errorf("looking for interfaces: %w", err)
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			return m, fmt.Errorf("looking for the addresses of %s: %w", i.Name, err)
		}
		ours := Interface{Name: i.Name}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			switch {
			case err != nil || p.Addr().IsLinkLocalUnicast() || p.Addr().IsLoopback():
			case i.Flags&net.FlagLoopback != 0:
				m.Own = append(m.Own, p.Addr())
			default:
				ours.Addrs = append(ours.Addrs, p)
			}
		}
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 && (len(ours.Addrs) > 0 || m.leads(i.Name)) {
			m.Interfaces = append(m.Interfaces, ours)
		}
	}
	rules, err := nft.Run(ctx, "", "list", "ruleset")
	if err != nil {
		return m, err
	}
	m.Rules = string(rules)
	return m, nil
}

// leads tells whether an interface is one through which others are reached.
func (m Machine) leads(name string) bool { return name == m.Out4 || name == m.Out6 }

// via asks the kernel for the interface to an address; nothing is sent.
func via(ctx context.Context, to netip.Addr) string {
	out, err := exec.CommandContext(ctx, "ip", "-j", "route", "get", to.String()).Output()
	var routes []struct{ Dev string }
	if err != nil || json.Unmarshal(out, &routes) != nil || len(routes) != 1 || routes[0].Dev == "lo" {
		return ""
	}
	return routes[0].Dev
}

// Bounds on what is looked at: a machine may have hundreds of interfaces of
// containers, or of addresses. Those through which it reaches others are always
// among them.
const (
	maxInterfaces = 16
	maxAddrs      = 8 // of an interface
)

// bounded leaves out the last of too many, and says so.
func (m Machine) bounded() (_ Machine, leftOut []string) {
	m.Interfaces = slices.Clone(m.Interfaces)
	slices.SortStableFunc(m.Interfaces, func(a, b Interface) int {
		switch la, lb := m.leads(a.Name), m.leads(b.Name); {
		case la == lb:
			return 0
		case la:
			return -1
		}
		return 1
	})
	for i, in := range m.Interfaces {
		switch {
		case i >= maxInterfaces:
			leftOut = append(leftOut, "the interface "+in.Name)
		case len(in.Addrs) > maxAddrs:
			leftOut = append(leftOut, fmt.Sprintf("%d addresses of %s", len(in.Addrs)-maxAddrs, in.Name))
			m.Interfaces[i].Addrs = in.Addrs[:maxAddrs]
		}
	}
	m.Interfaces = m.Interfaces[:min(maxInterfaces, len(m.Interfaces))]
	return m, leftOut
}

// errNowhere: of a machine that reaches nobody nothing can be tried.
var errNowhere = errors.New("this machine has no route to anybody far away, so nothing can be tried: try the rules out where they will be loaded, with its network up")
