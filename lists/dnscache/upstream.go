package dnscache

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"ehlogate/lists/breaker"
	"ehlogate/lists/dnsclient"
)

// UpstreamOptions are the parts of an upstream that its owner provides.
type UpstreamOptions struct {
	// Name is that of the zone, for events; "" for reverse DNS.
	Name string
	// Query looks up k.
	Query func(ctx context.Context, k *Key) (text string, ttl time.Duration, err error)
	// Valid reports whether there can be an answer to k; if not, it is "". nil: always.
	Valid func(k Key) bool
	// FailureTTL is how long a failure is remembered.
	FailureTTL time.Duration
	// ChecksIPv6 means that questions about IPv6 addresses have to wait for CheckedIPv6.
	ChecksIPv6 bool
	// Breaker has Check, Interval and Lenient. The rest is provided by the upstream.
	Breaker breaker.Options
}

// Upstream answers questions of one kind: a zone, or reverse DNS.
type Upstream struct {
	Breaker *breaker.Breaker
	Queries QueryCounts // about clients

	cache      *Cache
	id         uint32
	options    UpstreamOptions
	ipv6       ipv6Check
	epoch      atomic.Uint64 // answers to queries of an earlier one are dropped
	inFlight   atomic.Int32
	stopChecks context.CancelFunc

	positive, hits, misses, stale, prefetched, rejected atomic.Uint64
}

// NewUpstream makes an upstream, which is queried once it is added.
func (c *Cache) NewUpstream(o UpstreamOptions) *Upstream {
	c.mu.Lock()
	c.lastID++
	u := &Upstream{cache: c, id: c.lastID, options: o, stopChecks: func() {}}
	c.mu.Unlock()
	u.ipv6.passedAt = breaker.Never
	if !o.ChecksIPv6 {
		u.ipv6.state.Store(uint32(breaker.Closed))
	}
	b := o.Breaker
	b.FirstRetry, b.Clock = c.options.FirstRetry, c.Now
	check := b.Check
	b.Check = func(ctx context.Context) error { return u.Protect(func() error { return check(ctx) }) }
	b.OnOpen = func(why string, was breaker.State) {
		e := Event{Kind: Disabled, Upstream: o.Name, Why: why}
		if was == breaker.Closed {
			e.Stale = c.options.Stale
		}
		c.notify(e)
	}
	b.OnClose = func(openFor time.Duration) { c.notify(Event{Kind: Enabled, Upstream: o.Name, After: openFor}) }
	b.Flush = func(since int64) { u.flush(since, func(*Key) bool { return true }) }
	u.Breaker = breaker.New(b)
	return u
}

// AddrKey returns the question about an address.
func (u *Upstream) AddrKey(addr netip.Addr) Key { return Key{upstream: u.id, addr: addr.As16()} }

// NameKey returns the question about a name.
func (u *Upstream) NameKey(name string) Key { return Key{upstream: u.id, name: name} }

// enabled reports whether k can be queried.
func (u *Upstream) enabled(k *Key) bool {
	return u.Breaker.State() == breaker.Closed && (!k.isIPv6() || breaker.State(u.ipv6.state.Load()) == breaker.Closed)
}

// flush drops answers since that time, and those of the queries in flight.
func (u *Upstream) flush(since int64, which func(*Key) bool) {
	u.epoch.Add(1)
	u.cache.store.removeWhere(func(k *Key, e *entry) bool { return k.upstream == u.id && e.arrivedAt >= since && which(k) })
}

// Protect calls f. A panic becomes an error and an event.
func (u *Upstream) Protect(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			u.cache.notify(Event{Kind: Panicked, Upstream: u.options.Name, Why: fmt.Sprintf("%v\n%s", r, debug.Stack())})
			err = &dnsclient.Error{Kind: dnsclient.Malformed, Err: fmt.Errorf("internal error: %v", r)}
		}
	}()
	return f()
}

// QueryCounts counts queries.
type QueryCounts struct {
	sent, answered atomic.Uint64
	failed         [breaker.Failures]atomic.Uint64
}

// Query sends a query.
func (c *QueryCounts) Query(ctx context.Context, r dnsclient.Resolver, name string, qtype uint16) (dnsclient.Answer, error) {
	c.sent.Add(1)
	a, err := r.Query(ctx, name, qtype)
	if err != nil {
		c.failed[breaker.FailureOf(err)].Add(1)
		return a, err
	}
	c.answered.Add(1)
	return a, nil
}

// CountBogus counts an answer that is bogus.
func (c *QueryCounts) CountBogus() { c.failed[breaker.Bogus].Add(1) }

// CountPositive counts an answer that lists a client, or a verified name.
func (u *Upstream) CountPositive() { u.positive.Add(1) }
