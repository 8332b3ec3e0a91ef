// Package dnscache caches DNS answers of several upstreams, and sends the queries for what it does not have.
//
// [Upstream.Lookup] answers at once. An answer that is cached counts until its TTL is over; near its end it is renewed in
// the background. Otherwise a query is sent, one for all callers that have the question, and the caller gets a channel that
// tells when it is done. Where it fails, or takes longer than the caller can wait, an expired answer counts, for up to
// Options.Stale (RFC 8767). A failure is remembered for some seconds.
//
// Each upstream has a circuit breaker (package breaker), so that none is queried that does not answer or answers nonsense.
// The queries in flight and the answers in the cache are bounded, whatever clients come.
package dnscache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Cache is a cache of DNS answers. It is safe for concurrent use.
type Cache struct {
	options Options
	clock   func() time.Time
	start   time.Time
	notify  func(Event)
	store   *store

	inFlight     atomic.Int64
	rejected     atomic.Uint64 // queries, because of MaxLookups
	overloadedAt atomic.Int64  // when that was reported last
	goroutines   sync.WaitGroup

	mu        sync.RWMutex
	ctx       context.Context // of Run; nil: it does not run
	upstreams map[*Upstream]bool
	lastID    uint32
}

// New makes a cache. clock tells how old answers are. notify is called for each event; it must not block, nor call the
// cache; nil: events are dropped.
func New(o Options, clock func() time.Time, notify func(Event)) *Cache {
	if notify == nil {
		notify = func(Event) {}
	}
	o.MinTTL = max(o.MinTTL, time.Second)
	o.MaxTTL = max(o.MaxTTL, o.MinTTL)
	return &Cache{options: o, clock: clock, start: clock(), notify: notify, store: newStore(o.CacheEntries), upstreams: make(map[*Upstream]bool)}
}

// Offline returns a cache as this one is while no server answers and nothing is cached: one that never runs.
func (c *Cache) Offline() *Cache { return New(Defaults(), c.clock, nil) }

// Now returns the present time, in ns since the start of the cache.
func (c *Cache) Now() int64 { return int64(c.clock().Sub(c.start)) }

// Run runs health checks and sends queries until ctx ends. It returns when all that it started has ended, too. Without it
// all answers come from the cache.
func (c *Cache) Run(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	for u := range c.upstreams {
		c.runChecks(u)
	}
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	c.ctx = nil
	c.mu.Unlock()
	c.goroutines.Wait()
}

// AddUpstream has the cache query an upstream.
func (c *Cache) AddUpstream(u *Upstream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u.Breaker.Reset()
	c.upstreams[u] = true
	if c.ctx != nil {
		c.runChecks(u)
	}
}

// RemoveUpstreams forgets upstreams and what they answered. Until they are added again they must not be used.
func (c *Cache) RemoveUpstreams(upstreams ...*Upstream) {
	gone := make(map[uint32]bool)
	c.mu.Lock()
	for _, u := range upstreams {
		if c.upstreams[u] {
			delete(c.upstreams, u)
			u.stopChecks()
			gone[u.id] = true
		}
	}
	c.mu.Unlock()
	if len(gone) > 0 {
		c.store.removeWhere(func(k Key, _ *entry) bool { return gone[k.upstream] })
	}
}

// runChecks runs the health checks of u. It is called with mu held, while the cache runs.
func (c *Cache) runChecks(u *Upstream) {
	ctx, stop := context.WithCancel(c.ctx)
	u.stopChecks = stop
	u.Breaker.Start()
	c.goroutines.Go(func() {
		defer stop()
		u.Breaker.Run(ctx)
	})
}
