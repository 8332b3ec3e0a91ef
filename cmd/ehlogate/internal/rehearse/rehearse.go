// Package rehearse tries rules of nftables out where they can hurt nobody: in a
// network namespace that has interfaces of the same names and with the same
// addresses as this machine, neighbours at the other end of each, and somebody
// far away. Connections are made there, and it is seen which of them arrive, and
// which rule kept the others from it. So nothing has to be known about what a
// rule means, and nothing of this machine's network is touched.
//
// What is not tried: addresses other than those of neighbours, what depends on
// other rules of the machine, and more than 16 interfaces or 8 addresses of one.
package rehearse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/netns"
)

// patience is how long a connection may take that nobody answers: its first
// packet is sent again after a second.
const patience = 2500 * time.Millisecond

// Outcome is what came of a connection.
type Outcome int

// The outcomes.
const (
	Passed Outcome = iota // it arrived where it was meant for
	Caught                // a rule sent it elsewhere
	Lost                  // it arrived nowhere
)

// Trial is one connection.
type Trial struct {
	// In is the interface through which it came; empty for one that this machine
	// itself opened.
	In      string
	From    netip.Addr
	To      netip.AddrPort
	Own     bool // mail that the gateway sends on
	Inward  bool // from far away to a neighbour
	Outcome Outcome
	Rule    string // if not Passed: the rule that decided, with its table and chain, if one is known

	source *netns.Namespace
	port   uint16 // of the source, which tells trials apart
}

// Try loads a file for nft -f, and makes the trials that there are for a machine.
// It fails if the rules cannot be loaded, or if there can be no namespaces
// (CAP_SYS_ADMIN).
func Try(ctx context.Context, m Machine, file string) ([]Trial, error) {
	s, err := build(ctx, m.bounded())
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.load(ctx, file); err != nil {
		return nil, err
	}
	trials := s.trials()
	t, err := s.trace(ctx)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	if err := s.run(ctx, trials); err != nil {
		return nil, err
	}
	if err := s.knock(ctx, t, lastKnock, patience); err != nil {
		return nil, err
	}
	for i := range trials {
		if trials[i].Outcome != Passed {
			trials[i].Rule, trials[i].Outcome = t.decided(trials[i].port)
		}
	}
	return trials, nil
}

// firstPort is the source of the first trial.
const firstPort = 20000

// Ports that are tried: what servers deliver to, and what is for submission (RFC
// 8314, RFC 6409).
var ports = []uint16{25, 465, 587}

// trials are what is worth trying on the stage.
func (s *scene) trials() (all []Trial) {
	add := func(t Trial) {
		t.port = firstPort + uint16(len(all))
		all = append(all, t)
	}
	for _, l := range s.links {
		for _, own := range l.addrs {
			far := s.far(own)
			if !far.IsValid() {
				continue
			}
			add(Trial{From: own, To: netip.AddrPortFrom(far, 25), Own: true, source: s.gateway})
			if l == s.out(own) {
				continue
			}
			near := l.neighbour(own)
			for _, port := range ports {
				add(Trial{In: l.name, From: near, To: netip.AddrPortFrom(far, port), source: l.ns})
			}
			add(Trial{In: s.out(own).name, From: far, To: netip.AddrPortFrom(near, 25), Inward: true, source: s.out(own).ns})
		}
		for _, relay := range l.relays {
			if far := s.far(relay); far.IsValid() && l != s.out(relay) {
				add(Trial{In: l.name, From: relay, To: netip.AddrPortFrom(far, 25), Own: true, source: l.ns})
			}
		}
	}
	return all
}

// atOnce is how many connections are made at a time: each has a thread.
const atOnce = 32

// run makes the connections.
func (s *scene) run(ctx context.Context, trials []Trial) error {
	var wg sync.WaitGroup
	errs := make([]error, len(trials))
	room := make(chan struct{}, atOnce)
	for i := range trials {
		room <- struct{}{}
		wg.Go(func() {
			errs[i] = trials[i].connect(ctx)
			<-room
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (t *Trial) connect(ctx context.Context) error {
	dialer := net.Dialer{Timeout: patience, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.From, t.port))}
	return t.source.Do(func() error {
		conn, err := dialer.DialContext(ctx, "tcp", t.To.String())
		switch {
		case err == nil:
			return conn.Close()
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE), ctx.Err() != nil:
			return fmt.Errorf("trying a connection from %s: %w", t.From, err)
		}
		t.Outcome = Lost
		return nil
	})
}

// Interface is one of a machine's.
type Interface struct {
	Name  string
	Addrs []netip.Prefix // each with the network in which it lies
}

// Machine is one that rules are for: interfaces, and the addresses from which it
// would reach somebody far away, invalid if it cannot.
type Machine struct {
	Interfaces []Interface
	Out4, Out6 netip.Addr
	// Relays are neighbours that send the gateway's mail on, if it does not do so
	// itself.
	Relays []netip.Addr
}

// Bounds on what is looked at: a machine may have hundreds of interfaces of
// containers, or of addresses. Those through which it reaches others are always
// among them.
const (
	maxInterfaces = 16
	maxAddrs      = 8 // of an interface
)

// bounded leaves out the last of too many.
func (m Machine) bounded() Machine {
	out := func(i Interface) bool {
		return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Addr() == m.Out4 || p.Addr() == m.Out6 })
	}
	first := func(a, b bool) int { // those that are out
		switch {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	}
	all := slices.Clone(m.Interfaces)
	if len(all) > maxInterfaces {
		slices.SortStableFunc(all, func(a, b Interface) int { return first(out(a), out(b)) })
		all = all[:maxInterfaces]
	}
	for i := range all {
		if addrs := slices.Clone(all[i].Addrs); len(addrs) > maxAddrs {
			slices.SortStableFunc(addrs, func(a, b netip.Prefix) int {
				return first(a.Addr() == m.Out4 || a.Addr() == m.Out6, b.Addr() == m.Out4 || b.Addr() == m.Out6)
			})
			all[i].Addrs = addrs[:maxAddrs]
		}
	}
	m.Interfaces = all
	return m
}

// ThisMachine is the one, or the network namespace, that we are in.
func ThisMachine() (Machine, error) {
	var m Machine
	all, err := net.Interfaces()
	if err != nil {
		return m, fmt.Errorf("looking for interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return m, fmt.Errorf("looking for the addresses of %s: %w", i.Name, err)
		}
		ours := Interface{Name: i.Name}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
				ours.Addrs = append(ours.Addrs, p)
			}
		}
		if len(ours.Addrs) > 0 {
			m.Interfaces = append(m.Interfaces, ours)
		}
	}
	if len(m.Interfaces) == 0 {
		return m, errors.New("this machine has no interface with an address")
	}
	m.Out4, m.Out6 = outFrom(m.distant4()), outFrom(m.distant6())
	return m, nil
}

// outFrom is the address from which the kernel would send to another; nothing is
// sent.
func outFrom(to netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 25)))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// distant4 is an address, set aside for documentation (RFC 5737), that is in no
// network of the machine: it stands for all that is far away.
func (m Machine) distant4() netip.Addr {
	return m.absent("203.0.113.25", "198.51.100.25", "192.0.2.25", "198.18.0.25")
}

// distant6 likewise (RFC 3849, RFC 9637).
func (m Machine) distant6() netip.Addr { return m.absent("2001:db8:25::25", "3fff:25::25") }

func (m Machine) absent(candidates ...string) netip.Addr {
	for _, c := range candidates {
		addr := netip.MustParseAddr(c)
		if !slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
			return slices.ContainsFunc(i.Addrs, func(p netip.Prefix) bool { return p.Contains(addr) })
		}) {
			return addr
		}
	}
	return netip.MustParseAddr(candidates[0])
}
