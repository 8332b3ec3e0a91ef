package rehearse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// scene is the machine and what surrounds it.
type scene struct {
	gateway    *netns.Namespace
	own        []netip.Addr // on loopback
	links      []*link
	out4, out6 *link
	closers    []io.Closer
}

// link is an interface, and who is at its other end.
type link struct {
	name  string
	addrs []netip.Addr
	nets  []netip.Prefix
	near  []neighbour
	ns    *netns.Namespace
}

// neighbour is somebody at the other end of a link.
type neighbour struct {
	addr  netip.Addr
	relay bool // sends our mail on
}

// peer is what an interface is called at the other end.
const peer = "peer"

// build makes the namespaces and joins them.
func build(ctx context.Context, m Machine) (*scene, error) {
	s := &scene{own: m.Own}
	if err := s.make(ctx, m); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *scene) make(ctx context.Context, m Machine) (err error) {
	if s.gateway, err = s.network(); err != nil {
		return err
	}
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		err := s.gateway.Do(func() error { return os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the machine may be without IPv6
			return fmt.Errorf("having the network of the trials forward packets: %w", err)
		}
	}
	var lo strings.Builder
	for _, own := range m.Own {
		fmt.Fprintf(&lo, "addr add %s/%d dev lo%s\n", own, own.BitLen(), nodad(own))
	}
	if _, err := s.gateway.Pipe(ctx, lo.String(), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("giving loopback its addresses: %w", err)
	}
	for _, i := range m.Interfaces {
		l := &link{name: i.Name, nets: i.Addrs}
		if l.ns, err = s.network(); err != nil {
			return err
		}
		if err := netns.Link(ctx, s.gateway, l.name, l.ns, peer); err != nil {
			return err
		}
		for _, p := range i.Addrs {
			l.addrs = append(l.addrs, p.Addr())
			l.near = append(l.near, neighbour{addr: l.beside(p)})
		}
		s.links = append(s.links, l)
		if i.Name == m.Out4 {
			s.out4 = l
		}
		if i.Name == m.Out6 {
			s.out6 = l
		}
	}
	if s.out4 == nil && s.out6 == nil {
		return errNowhere
	}
	for _, relay := range m.Relays {
		l := s.towards(m, relay)
		if l == nil {
			return fmt.Errorf("the relay %s is in no network of this machine, so it cannot be tried what becomes of its mail", relay)
		}
		l.near = append(l.near, neighbour{relay, true})
	}
	for _, l := range s.links {
		if err := s.address(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// towards is the link at the other end of which an address is; nil if none is.
func (s *scene) towards(m Machine, a netip.Addr) *link {
	i := slices.IndexFunc(s.links, func(l *link) bool {
		return slices.ContainsFunc(l.nets, func(p netip.Prefix) bool { return p.Contains(a) })
	})
	if i < 0 && m.Via != nil {
		name := m.Via(a)
		i = slices.IndexFunc(s.links, func(l *link) bool { return l.name == name })
	}
	if i < 0 {
		return nil
	}
	return s.links[i]
}

// has tells whether the machine has an address of a family.
func (s *scene) has(is4 bool) bool {
	return slices.ContainsFunc(s.links, func(l *link) bool {
		return slices.ContainsFunc(l.addrs, func(a netip.Addr) bool { return a.Is4() == is4 })
	})
}

func (s *scene) network() (*netns.Namespace, error) {
	n, err := netns.New()
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, n)
	return n, nil
}

func (s *scene) close() {
	for _, c := range s.closers {
		c.Close()
	}
}

// out is the interface that leads far away for a family; nil if none does.
func (s *scene) out(family netip.Addr) *link {
	if family.Is4() {
		return s.out4
	}
	return s.out6
}

// far is who is far away, as seen from an address; invalid if there is no way.
func (s *scene) far(from netip.Addr) netip.Addr {
	switch {
	case s.out(from) == nil:
		return netip.Addr{}
	case from.Is4():
		return far4
	}
	return far6
}

// beside is an address beside one of ours, in the same network if it has room.
func (l *link) beside(p netip.Prefix) netip.Addr {
	own := p.Addr()
	if next := own.Next(); p.Contains(next) && p.Contains(next.Next()) {
		return next
	}
	if prev := own.Prev(); p.Contains(prev) {
		return prev
	}
	return own.Next()
}

// Transfer networks for an interface that leads far away without an address of
// its own.
var transfer = map[bool]netip.Prefix{true: netip.MustParsePrefix("100.127.255.1/30"), false: netip.MustParsePrefix("fdff:ffff::1/64")}

// address gives both ends of a link their addresses and routes, and has the other
// end listen.
func (s *scene) address(ctx context.Context, l *link) error {
	var ours, theirs strings.Builder
	var listen []netip.AddrPort
	routed := map[bool]bool{}
	nets := slices.Clone(l.nets)
	for _, far := range []netip.Addr{far4, far6} {
		if l == s.out(far) && !slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Addr().Is4() == far.Is4() }) {
			nets = append(nets, transfer[far.Is4()])
		}
	}
	for _, p := range nets {
		own := p.Addr()
		anywhere := map[bool]string{true: "0.0.0.0/0", false: "::/0"}[own.Is4()]
		fmt.Fprintf(&ours, "addr add %s dev %s%s\n", p, l.name, nodad(own))
		fmt.Fprintf(&theirs, "route replace %s dev %s\n", own, peer)
		if routed[own.Is4()] {
			continue
		}
		routed[own.Is4()] = true
		if near := l.beside(p); !slices.Contains(l.nets, p) { // else it gets one below
			fmt.Fprintf(&theirs, "addr add %s/%d dev %s%s\n", near, near.BitLen(), peer, nodad(near))
		}
		fmt.Fprintf(&theirs, "route replace %s via %s dev %s onlink\n", anywhere, own, peer)
		if l == s.out(own) {
			far := s.far(own)
			fmt.Fprintf(&theirs, "addr add %s/%d dev %s%s\n", far, far.BitLen(), peer, nodad(far))
			fmt.Fprintf(&ours, "route replace %s dev %s\n", anywhere, l.name)
			for _, port := range ports {
				listen = append(listen, netip.AddrPortFrom(far, port))
			}
		}
	}
	if err := s.both(ctx, l, ours.String(), theirs.String()); err != nil {
		return err
	}
	for _, at := range listen {
		if err := s.listen(l.ns, at.String()); err != nil {
			return err
		}
	}
	for _, n := range l.near {
		if err := s.settle(ctx, l, n); err != nil {
			return err
		}
	}
	return nil
}

// both configures the two ends of a link.
func (s *scene) both(ctx context.Context, l *link, ours, theirs string) error {
	if _, err := s.gateway.Pipe(ctx, ours, "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("giving %s its addresses: %w", l.name, err)
	}
	if _, err := l.ns.Pipe(ctx, theirs, "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("addressing the neighbour of %s: %w", l.name, err)
	}
	return nil
}

// settle gives a neighbour its place, and a server on port 25.
func (s *scene) settle(ctx context.Context, l *link, n neighbour) error {
	err := s.both(ctx, l, fmt.Sprintf("route replace %s dev %s\n", n.addr, l.name),
		fmt.Sprintf("addr replace %s/%d dev %s%s\n", n.addr, n.addr.BitLen(), peer, nodad(n.addr)))
	if err != nil {
		return err
	}
	return s.listen(l.ns, netip.AddrPortFrom(n.addr, 25).String())
}

// maxMembers is how many neighbours a set is good for, and maxInvited all sets.
const maxMembers, maxInvited = 8, 32

// invite makes neighbours of some addresses that the sets of the rules hold, since
// rules may be about nobody else.
func (s *scene) invite(ctx context.Context, m Machine) error {
	var held []netip.Addr
	err := s.gateway.Do(func() (err error) {
		held, err = nft.Members(ctx, maxMembers)
		return err
	})
	if err != nil {
		return err
	}
	invited := 0
	for _, a := range held {
		l := s.towards(m, a)
		taken := func(l *link) bool {
			return slices.Contains(l.addrs, a) || slices.ContainsFunc(l.near, func(n neighbour) bool { return n.addr == a })
		}
		if l == nil || l == s.out(a) || invited == maxInvited || slices.ContainsFunc(s.links, taken) || slices.Contains(s.own, a) {
			continue
		}
		invited++
		l.near = append(l.near, neighbour{addr: a})
		if err := s.settle(ctx, l, l.near[len(l.near)-1]); err != nil {
			return err
		}
	}
	return nil
}

// nodad spares waiting until an IPv6 address is known to be nobody else's.
func nodad(a netip.Addr) string {
	if a.Is6() {
		return " nodad"
	}
	return ""
}

// listen has somebody take connections: the kernel does, into a queue that is
// longer than there are trials.
func (s *scene) listen(n *netns.Namespace, at string) error {
	return n.Do(func() error {
		l, err := net.Listen("tcp", at)
		if err != nil {
			return fmt.Errorf("listening for the trials: %w", err)
		}
		s.closers = append(s.closers, l)
		return nil
	})
}

// before loads the rules that the machine has already.
func (s *scene) before(ctx context.Context, rules string) error {
	if rules == "" {
		return nil
	}
	err := s.gateway.Do(func() error {
		_, err := nft.Run(ctx, rules, "-f", "-")
		return err
	})
	var refused *nft.Error
	if errors.As(err, &refused) {
		said, _, _ := strings.Cut(refused.Said, "\n")
		return errors.New(said)
	}
	return err
}

// load loads the rules.
func (s *scene) load(ctx context.Context, file string) error {
	path, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	err = s.gateway.Do(func() error {
		_, err := nft.Run(ctx, "", "-f", path)
		return err
	})
	var refused *nft.Error
	if errors.As(err, &refused) {
		return fmt.Errorf("nft does not take %s:\n%s", file, refused.Said)
	}
	return err
}
