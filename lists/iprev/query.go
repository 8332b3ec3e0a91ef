package iprev

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/dnsname"
)

// maxNames is how many names of an address are tried. An address with more of them is that of a web server, or of an
// attacker that wants to cause many queries.
const maxNames = 10

var errManyNames = &dnsclient.Error{Kind: dnsclient.Malformed, Err: errors.New("too many names")}

// queryName looks up the verified name of an address, "" if it has none.
func (v *Verifier) queryName(ctx context.Context, k *dnscache.Key) (string, time.Duration, error) {
	addr := k.Addr()
	a, err := v.upstream.Queries.Query(ctx, v.resolver, dnsname.Pointer(addr), dns.TypePTR)
	if err != nil {
		return "", 0, err
	}
	var names []string
	for _, rr := range a.Records {
		if ptr, ok := rr.(*dns.PTR); ok {
			if name, ok := dnsname.HostName(ptr.Ptr); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	ttl := a.TTL
	for _, name := range names[:min(len(names), maxNames)] {
		has, t, err := v.queryAddress(ctx, name, addr)
		if err != nil {
			return "", 0, err
		}
		if ttl = min(ttl, t); has {
			v.upstream.CountPositive()
			return name, ttl, nil
		}
	}
	if len(names) > maxNames {
		return "", 0, errManyNames // one of the others can have the address
	}
	return "", ttl, nil
}

// queryAddress looks up whether name has addr.
func (v *Verifier) queryAddress(ctx context.Context, name string, addr netip.Addr) (bool, time.Duration, error) {
	qtype := dns.TypeA
	if addr.Is6() {
		qtype = dns.TypeAAAA
	}
	a, err := v.upstream.Queries.Query(ctx, v.resolver, name, qtype)
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
