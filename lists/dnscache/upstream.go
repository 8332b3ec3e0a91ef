package dnscache

import (
	"cmp"
	"context"
	"fmt"
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
	// Resolver is what Upstream.Query sends queries to.
	Resolver dnsclient.Resolver
	// Query looks up k with queries to the Upstream, which counts them. "" means that there is no such record.
	Query func(ctx context.Context, k Key) (text string, ttl time.Duration, err error)
	// Valid reports whether there can be an answer to k; if not, it is "". nil: always.
	Valid func(k Key) bool
	// FailureTTL is how long a failure is remembered.
	FailureTTL time.Duration
	// Breaker has Check, Interval and Lenient. The rest is provided by the upstream.
	Breaker breaker.Options
}

// Upstream answers questions of one kind: a zone, or reverse DNS.
type Upstream struct {
	Breaker *breaker.Breaker

	cache      *Cache
	id         uint32
	options    UpstreamOptions
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
	b.Flush = u.flush
	u.Breaker = breaker.New(b)
	return u
}

// isEnabled reports whether the upstream can be queried.
func (u *Upstream) isEnabled() bool { return u.Breaker.State() == breaker.Closed }

// flush drops answers since that time, and those of the queries in flight.
func (u *Upstream) flush(since int64) {
	u.epoch.Add(1)
	u.cache.store.removeWhere(func(k Key, e *entry) bool { return k.upstream == u.id && e.arrivedAt >= since })
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
