package dnscache

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists/breaker"
	"ehlogate/lists/dnsclient"
)

// UpstreamOptions are the parts of an upstream that its owner provides.
type UpstreamOptions struct {
	// Name is that of the zone, for events; "" for reverse DNS.
	Name string
	// Resolver is what Upstream.Query sends queries to.
	Resolver dnsclient.Resolver
	// Query looks up k with queries to the Upstream, which counts them. "" means that there is no such record.
	Query func(ctx context.Context, k Key) (text string, ttl time.Duration, err error)
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

	cache      *Cache
	id         uint32
	options    UpstreamOptions
	ipv6       ipv6Check
	epoch      atomic.Uint64 // answers to queries of an earlier one are dropped
	inFlight   atomic.Int32
	stopChecks context.CancelFunc

	sent, answered, positive, hits, misses, stale, prefetched, rejected atomic.Uint64

	failed [dnsclient.KindCount]atomic.Uint64
}

var _ dnsclient.Resolver = (*Upstream)(nil)

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
	if b.Interval > 0 {
		b.Interval = cmp.Or(c.options.CheckInterval, b.Interval)
	}
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
	b.Flush = func(since int64) { u.flush(since, false) }
	u.Breaker = breaker.New(b)
	return u
}

// enabled reports whether k can be queried.
func (u *Upstream) enabled(k Key) bool {
	return u.Breaker.State() == breaker.Closed && (!k.Addr.Is6() || breaker.State(u.ipv6.state.Load()) == breaker.Closed)
}

// flush drops answers since that time, and those of the queries in flight.
func (u *Upstream) flush(since int64, onlyIPv6 bool) {
	u.epoch.Add(1)
	u.cache.store.removeWhere(func(k Key, e *entry) bool {
		return k.upstream == u.id && e.arrivedAt >= since && (!onlyIPv6 || k.Addr.Is6())
	})
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

// Query sends a query about a client, and counts it.
func (u *Upstream) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	u.sent.Add(1)
	a, err := u.options.Resolver.Query(ctx, name, qtype)
	if err != nil {
		u.failed[dnsclient.KindOf(err)].Add(1)
	} else {
		u.answered.Add(1)
	}
	return a, err
}

// ipv6Check is the result of the part of a health check that is about IPv6 addresses. A zone can answer well about IPv4
// alone.
type ipv6Check struct {
	state atomic.Uint32 // a breaker.State

	mu       sync.Mutex
	why      string // it is open
	since    int64  // when the state changed last; 0: never
	passedAt int64  // when the last good check began, or breaker.Never
}

// CheckedIPv6 takes into account the part of the present health check that is about IPv6 addresses. An error that is no
// BogusError changes nothing.
func (u *Upstream) CheckedIPv6(err error) {
	c, now, why := &u.ipv6, breaker.Closed, ""
	if dnsclient.IsBogus(err) {
		now, why = breaker.Open, err.Error()
	} else if err != nil {
		return
	}
	c.mu.Lock()
	c.why = why
	passedAt := c.passedAt
	if now == breaker.Closed {
		c.passedAt = u.Breaker.CheckedAt()
	}
	was := breaker.State(c.state.Swap(uint32(now)))
	if now != was {
		c.since = u.cache.Now()
	}
	c.mu.Unlock()
	switch {
	case now == was:
	case now == breaker.Open:
		u.flush(passedAt, true)
		u.cache.notify(Event{Kind: IPv6Disabled, Upstream: u.options.Name, Why: why})
	case was == breaker.Open:
		u.cache.notify(Event{Kind: IPv6Enabled, Upstream: u.options.Name})
	}
}

// read returns the present state, since when, and why it is open.
func (c *ipv6Check) read() (state breaker.State, since int64, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return breaker.State(c.state.Load()), c.since, c.why
}
