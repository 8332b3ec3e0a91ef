package dnsbl

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

// ReverseDNS are the host names of clients, verified by forward-confirmed reverse
// DNS (RFC 8601 section 2.7.3): the name that a PTR record of the address gives,
// if the name has that address. Of several the first in the order of the alphabet
// counts, so that it is the same one each time; if it cannot be found out
// whether that one has the address, the name is not known.
type ReverseDNS struct {
	upstream
}

var (
	_ lists.NameVerifier = (*ReverseDNS)(nil)
	_ lists.Tracer       = (*ReverseDNS)(nil)
)

// maxNames is how many names of an address are tried. An address with more of
// them is that of a web server, or somebody's who wants to keep us busy.
const maxNames = 10

// newNames is called with the lock of s held. There is nothing to test
// beforehand: reverse DNS is broken for many addresses while the resolver is
// fine, so failures only make us look whether that is still there.
func newNames(s *Client) *ReverseDNS {
	n := new(ReverseDNS)
	n.setUp(s, "reverse DNS")
	n.find, n.probe, n.lenient, n.patience = n.findName, n.resolver, true, time.Minute
	n.fits = func(key) bool { return true }
	n.trust.Store(uint32(closed))
	n.trust6.Store(uint32(closed))
	return n
}

// Verify implements lists.NameVerifier. Local networks may well have names of their own, so private addresses are looked
// up, too.
func (n *ReverseDNS) Verify(addr netip.Addr) lists.NameMatch { return n.verify(addr, first) }

// VerifyAgain implements lists.NameVerifier.
func (n *ReverseDNS) VerifyAgain(addr netip.Addr, late bool) lists.NameMatch {
	if late {
		return n.verify(addr, last)
	}
	return n.verify(addr, again)
}

func (n *ReverseDNS) verify(addr netip.Addr, t turn) lists.NameMatch {
	addr = addr.Unmap()
	if !addr.IsValid() || nameless.has(addr) {
		return lists.NameMatch{}
	}
	k := n.key(addr)
	p := n.look(&k, n.service.now(), t)
	switch {
	case p.state == pending:
		return lists.NameMatch{Status: lists.Pending, Ready: []<-chan struct{}{p.flight.done}}
	case p.state == unknown:
		return lists.NameMatch{Status: lists.Unavailable}
	case p.said == "":
		return lists.NameMatch{}
	}
	return lists.NameMatch{Name: p.said, Status: lists.Matched}
}

func (n *ReverseDNS) key(addr netip.Addr) key { return key{of: n.id, addr: addr.As16()} }

// findName gives the verified name, "" if there is none.
func (n *ReverseDNS) findName(ctx context.Context, k *key) (string, time.Duration, error) {
	addr := k.address()
	a, err := n.asking.ask(ctx, n.service.asker, pointer(addr), dns.TypePTR)
	if err != nil {
		return "", 0, err
	}
	var names []string
	for _, rr := range a.Records {
		if ptr, ok := rr.(*dns.PTR); ok {
			if name, ok := hostName(ptr.Ptr); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	ttl := a.TTL
	for _, name := range names[:min(len(names), maxNames)] {
		has, t, err := n.hasAddress(ctx, name, addr)
		if err != nil {
			return "", 0, err
		}
		if ttl = min(ttl, t); has {
			n.listed.Add(1)
			return name, ttl, nil
		}
	}
	if len(names) > maxNames {
		return "", 0, errManyNames // one of the others may have the address
	}
	return "", ttl, nil
}

var errManyNames = &dnsclient.Error{Kind: dnsclient.Malformed, Err: errors.New("more names than are looked at")}

func (n *ReverseDNS) hasAddress(ctx context.Context, name string, addr netip.Addr) (bool, time.Duration, error) {
	qtype := dns.TypeA
	if addr.Is6() {
		qtype = dns.TypeAAAA
	}
	a, err := n.asking.ask(ctx, n.service.asker, name, qtype)
	if err != nil {
		return false, 0, err
	}
	for _, rr := range a.Records {
		var ip []byte
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if has, ok := netip.AddrFromSlice(ip); ok && has.Unmap() == addr {
			return true, a.TTL, nil
		}
	}
	return false, a.TTL, nil
}

// resolver probes whether the resolver is there: anything it says about the
// root shows that.
func (n *ReverseDNS) resolver(ctx context.Context) (err error) {
	defer n.survive(&err)
	_, err = n.service.asker.Query(ctx, ".", dns.TypeNS)
	if err != nil && reasonOf(err).alive() {
		return nil
	}
	return err
}
