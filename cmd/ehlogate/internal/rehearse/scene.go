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

	"ehlogate/cmd/ehlogate/internal/netns"
	"ehlogate/cmd/ehlogate/internal/nft"
)

// scene is the machine and what surrounds it.
type scene struct {
	gateway *netns.Namespace
	links   []*link
	far4    netip.Addr
	far6    netip.Addr
	out4    *link
	out6    *link
	closers []io.Closer
}

// link is an interface, and who is at its other end.
type link struct {
	name  string
	addrs []netip.Addr
	nets  []netip.Prefix
	// relays are neighbours that send our mail on.
	relays []netip.Addr
	ns     *netns.Namespace
}

// peer is what an interface is called at the other end.
const peer = "peer"

// build makes the namespaces and joins them.
func build(ctx context.Context, m Machine) (*scene, error) {
	s := &scene{far4: m.distant4(), far6: m.distant6()}
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
			switch p.Addr() {
			case m.Out4:
				s.out4 = l
			case m.Out6:
				s.out6 = l
			}
		}
		s.links = append(s.links, l)
	}
	for _, relay := range m.Relays {
		i := slices.IndexFunc(s.links, func(l *link) bool {
			return slices.ContainsFunc(l.nets, func(p netip.Prefix) bool { return p.Contains(relay) })
		})
		if i < 0 {
			return fmt.Errorf("the relay %s is in no network of this machine, so it cannot be tried what becomes of its mail", relay)
		}
		s.links[i].relays = append(s.links[i].relays, relay)
	}
	for _, l := range s.links {
		if err := s.address(ctx, l); err != nil {
			return err
		}
	}
	return nil
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
		return s.far4
	}
	return s.far6
}

// neighbour is an address beside one of ours, in the same network if it has room.
func (l *link) neighbour(own netip.Addr) netip.Addr {
	for _, p := range l.nets {
		if p.Addr() == own {
			if next := own.Next(); p.Contains(next) && p.Contains(next.Next()) {
				return next
			}
			if prev := own.Prev(); p.Contains(prev) {
				return prev
			}
		}
	}
	return own.Next()
}

// address gives both ends of a link their addresses and routes, and has the other
// end listen.
func (s *scene) address(ctx context.Context, l *link) error {
	var ours, theirs strings.Builder
	for _, relay := range l.relays {
		fmt.Fprintf(&theirs, "addr replace %s/%d dev %s%s\n", relay, relay.BitLen(), peer, nodad(relay))
	}
	listen := map[netip.Addr][]uint16{}
	routed := map[bool]bool{}
	for i, own := range l.addrs {
		near := l.neighbour(own)
		flags, anywhere := nodad(own), "0.0.0.0/0"
		if own.Is6() {
			anywhere = "::/0"
		}
		fmt.Fprintf(&ours, "addr add %s dev %s%s\n", l.nets[i], l.name, flags)
		fmt.Fprintf(&ours, "route replace %s dev %s\n", near, l.name)
		fmt.Fprintf(&theirs, "addr replace %s/%d dev %s%s\n", near, near.BitLen(), peer, flags)
		fmt.Fprintf(&theirs, "route replace %s dev %s\n", own, peer)
		listen[near] = []uint16{25}
		if routed[own.Is4()] {
			continue
		}
		routed[own.Is4()] = true
		fmt.Fprintf(&theirs, "route replace %s via %s dev %s onlink\n", anywhere, own, peer)
		if l == s.out(own) {
			far := s.far(own)
			fmt.Fprintf(&theirs, "addr add %s/%d dev %s%s\n", far, far.BitLen(), peer, flags)
			fmt.Fprintf(&ours, "route replace %s dev %s\n", anywhere, l.name)
			listen[far] = ports
		}
	}
	if _, err := s.gateway.Pipe(ctx, ours.String(), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("giving %s its addresses: %w", l.name, err)
	}
	if _, err := l.ns.Pipe(ctx, theirs.String(), "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("addressing the neighbour of %s: %w", l.name, err)
	}
	for addr, ports := range listen {
		for _, port := range ports {
			if err := s.listen(l.ns, netip.AddrPortFrom(addr, port)); err != nil {
				return err
			}
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
func (s *scene) listen(n *netns.Namespace, at netip.AddrPort) error {
	return n.Do(func() error {
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			return fmt.Errorf("listening for the trials: %w", err)
		}
		s.closers = append(s.closers, l)
		return nil
	})
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
