// Package iprev verifies the host names of clients by forward-confirmed reverse DNS (RFC 8601 section 2.7.3): the name that
// a PTR record of the address has, if that name has the address.
//
// Of several such names the first in alphabetical order counts, so that it is the same each time. If it is not known whether
// that one has the address, the name is not known. Answers are cached by package dnscache.
package iprev

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/prefixset"
)

// failureTTL is how long a failed query is remembered.
const failureTTL = time.Minute

// maxNames is how many names of an address are tried. An address with more of them is that of a web server, or of an
// attacker that wants to cause many queries.
const maxNames = 10

var errManyNames = &dnsclient.Error{Kind: dnsclient.Malformed, Err: errors.New("too many names")}

// hostless has addresses of no host on any network, or of none but this host or its link, so that reverse DNS does not know
// them.
var hostless = prefixset.New(
	"0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
	"::/128", "::1/128", "fe80::/10", "ff00::/8",
)

type Verifier struct {
	upstream *dnscache.Upstream
	cache    *dnscache.Cache
	resolver dnsclient.Resolver
}

var (
	_ lists.NameVerifier = (*Verifier)(nil)
	_ lists.Tracer       = (*Verifier)(nil)
)

// New makes a verifier. Answers come from the cache alone until that runs. Reverse DNS is broken for many addresses while the
// resolver is fine, so failures only have it checked whether the resolver answers.
func New(cache *dnscache.Cache, r dnsclient.Resolver) *Verifier {
	v := &Verifier{cache: cache, resolver: r}
	v.upstream = cache.NewUpstream(dnscache.UpstreamOptions{
		Resolver: r, Query: v.queryName, FailureTTL: failureTTL, Breaker: breaker.Options{Check: v.checkResolver, Lenient: true},
	})
	cache.AddUpstream(v.upstream)
	return v
}

// Close has the cache forget all names. The verifier must not be used again.
func (v *Verifier) Close() { v.cache.RemoveUpstreams(v.upstream) }

func (v *Verifier) Stats() dnscache.UpstreamStats { return v.upstream.Stats() }

// Verify implements lists.NameVerifier. Local networks can have names of their own, so private addresses are looked up, too.
func (v *Verifier) Verify(addr netip.Addr, t lists.Turn) lists.NameMatch {
	addr = addr.Unmap()
	if !addr.IsValid() || hostless.Contains(addr) {
		return lists.NameMatch{}
	}
	switch a := v.upstream.Lookup(dnscache.Key{Addr: addr}, v.cache.Now(), t); {
	case a.State == dnscache.Pending:
		return lists.NameMatch{Status: lists.Pending, Ready: []<-chan struct{}{a.Ready}}
	case a.State == dnscache.Unknown:
		return lists.NameMatch{Status: lists.Unavailable}
	case a.Text == "":
		return lists.NameMatch{}
	default:
		return lists.NameMatch{Name: a.Text, Status: lists.Matched}
	}
}

func (v *Verifier) Trace(c lists.Client) []lists.TraceStep {
	addr := c.Addr.Unmap()
	if !addr.IsGlobalUnicast() {
		return nil
	}
	step := lists.TraceStep{Query: dnsclient.PointerName(addr) + " PTR"}
	a := v.upstream.Trace(dnscache.Key{Addr: addr}, v.cache.Now(), &step, "no verified name", func(name string) string { return name })
	switch {
	case a.State != dnscache.Known:
	case a.Text == "":
		step.Effect = "no PTR record has a name that resolves to the address" + step.Effect
	default:
		step.Effect = "verified: the name resolves to the address" + step.Effect
	}
	return []lists.TraceStep{step}
}

// Offline returns the verifier as it is while no server answers and nothing is cached: what it says of a client it says of
// all clients between two Boundaries.
func (v *Verifier) Offline() *Verifier { return New(v.cache.Offline(), nil) }

// Boundaries returns the addresses at which the answer can change while no server answers, in no order.
func (v *Verifier) Boundaries() iter.Seq[netip.Addr] { return hostless.Boundaries() }

// checkResolver is the health check: any answer about the root shows that the resolver is there.
func (v *Verifier) checkResolver(ctx context.Context) error {
	_, err := v.resolver.Query(ctx, ".", dns.TypeNS)
	if err != nil && dnsclient.KindOf(err).Answered() {
		return nil
	}
	return err
}

// queryName looks up the verified name of an address, "" if it has none.
func (v *Verifier) queryName(ctx context.Context, k dnscache.Key) (string, time.Duration, error) {
	addr := k.Addr
	a, err := v.upstream.Query(ctx, dnsclient.PointerName(addr), dns.TypePTR)
	if err != nil {
		return "", 0, err
	}
	var names []string
	for _, rr := range a.Records {
		if ptr, ok := rr.(*dns.PTR); ok {
			if name, ok := lists.ParseHostName(ptr.Ptr); ok {
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
			return name, ttl, nil
		}
	}
	if len(names) > maxNames {
		return "", 0, errManyNames // one of the others can have the address
	}
	return "", ttl, nil
}

func (v *Verifier) queryAddress(ctx context.Context, name string, addr netip.Addr) (bool, time.Duration, error) {
	qtype := dns.TypeA
	if addr.Is6() {
		qtype = dns.TypeAAAA
	}
	a, err := v.upstream.Query(ctx, name, qtype)
	if err != nil {
		return false, 0, err
	}
	return slices.Contains(a.Addrs(), addr), a.TTL, nil
}
