package dnscache

import (
	"context"
	"strings"
	"time"

	"ehlogate/lists/breaker"
)

// CallTimeout is how long a lookup can take in all; a dnsclient.Resolver gives up before that as a rule.
const CallTimeout = 5 * time.Second

// call is a query in flight. What came of it is in the cache when done is closed.
type call struct{ done chan struct{} }

// startCall sends the query for k in the background, if the cache runs and a slot is free; nil if not. It is called with
// the lock of sh held, and k is not in flight.
func (u *Upstream) startCall(k *Key, now int64, sh *shard, prefetch bool) *call {
	c := u.cache
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.ctx == nil || c.ctx.Err() != nil || !u.acquireSlot(now, prefetch) {
		return nil
	}
	f, ctx, key, epoch := &call{done: make(chan struct{})}, c.ctx, *k, u.epoch.Load()
	key.name = strings.Clone(k.name) // which can be in a buffer of the caller
	sh.inFlight[key] = f
	c.goroutines.Go(func() { u.runCall(ctx, key, f, now, epoch, sh) })
	return f
}

// acquireSlot takes a slot among the queries in flight. Prefetches get no more than half of the slots, and one upstream no
// more than it leaves to the others.
func (u *Upstream) acquireSlot(now int64, prefetch bool) bool {
	c := u.cache
	most := int64(c.options.MaxLookups)
	for {
		all, own := c.inFlight.Load(), int64(u.inFlight.Load())
		if all >= most || own >= most-all && own > 0 && c.sharing.Load() > 1 || prefetch && 2*all >= most {
			break
		}
		if c.inFlight.CompareAndSwap(all, all+1) {
			u.inFlight.Add(1)
			return true
		}
	}
	if !prefetch {
		u.rejected.Add(1)
		c.rejected.Add(1)
		const pause = int64(10 * time.Minute)
		if last := c.overloadedAt.Load(); (last == 0 || now-last >= pause) && c.overloadedAt.CompareAndSwap(last, max(now, 1)) {
			c.notify(Event{Kind: Overloaded, Upstream: u.options.Name, Limit: c.options.MaxLookups})
		}
	}
	return false
}

// runCall queries k, and caches what comes of it.
func (u *Upstream) runCall(ctx context.Context, k Key, f *call, began int64, epoch uint64, sh *shard) {
	c := u.cache
	text, ttl, err := u.query(ctx, &k)
	now := c.Now()
	if ctx.Err() == nil {
		u.Breaker.Record(began, text != "", err)
	}
	sh.mu.Lock()
	delete(sh.inFlight, k)
	if epoch == u.epoch.Load() && (err == nil || ctx.Err() == nil) {
		e, _ := sh.entries.Peek(k)
		if err == nil {
			ttl = min(max(ttl, c.options.MinTTL), c.options.MaxTTL)
			e = entry{text: text, answered: true, arrivedAt: now, expiresAt: now + int64(ttl)}
		} else {
			e.failedAt, e.failure = now, breaker.FailureOf(err)
		}
		sh.entries.Add(k, e)
	}
	sh.mu.Unlock()
	u.inFlight.Add(-1)
	c.inFlight.Add(-1)
	close(f.done)
}

func (u *Upstream) query(ctx context.Context, k *Key) (text string, ttl time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	err = u.Protect(func() error {
		text, ttl, err = u.options.Query(ctx, k)
		return err
	})
	return text, ttl, err
}
