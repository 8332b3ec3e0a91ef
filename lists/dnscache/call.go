package dnscache

import (
	"context"
	"strings"
	"time"

	"ehlogate/lists/dnsclient"
)

// CallTimeout is how long a lookup can take in all; a dnsclient.Resolver gives up before that as a rule.
const CallTimeout = 5 * time.Second

// startCall sends the query for k in the background, if the cache runs and a slot is free; nil if not. What came of it is
// in the cache when the channel is closed. It is called with the lock of sh held, and k is not in flight.
func (u *Upstream) startCall(k Key, now int64, sh *shard, prefetch bool) <-chan struct{} {
	c := u.cache
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.ctx == nil || c.ctx.Err() != nil || !u.acquireSlot(now, prefetch) {
		return nil
	}
	done, ctx, key, epoch := make(chan struct{}), c.ctx, k, u.epoch.Load()
	key.Name = strings.Clone(k.Name) // which can be in a buffer of the caller
	sh.inFlight[key] = done
	c.goroutines.Go(func() { u.runCall(ctx, key, now, epoch, sh) })
	return done
}

// acquireSlot takes a slot among the queries in flight. Prefetches get no more than half of the slots, and one upstream no
// more than it leaves to the others. It is called with the lock of the cache held.
func (u *Upstream) acquireSlot(now int64, prefetch bool) bool {
	c := u.cache
	most := int64(c.options.MaxLookups)
	for {
		all, own := c.inFlight.Load(), int64(u.inFlight.Load())
		if all >= most || own >= most-all && own > 0 && len(c.upstreams) > 1 || prefetch && 2*all >= most {
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
func (u *Upstream) runCall(ctx context.Context, k Key, began int64, epoch uint64, sh *shard) {
	c := u.cache
	text, ttl, err := u.runQuery(ctx, k)
	now := c.Now()
	switch {
	case dnsclient.IsBogus(err):
		u.failed[dnsclient.Bogus].Add(1)
	case err == nil && text != "":
		u.positive.Add(1)
	}
	if ctx.Err() == nil {
		u.Breaker.Record(began, text != "", err)
	}
	_, hash := c.store.find(&k)
	sh.mu.Lock()
	done := sh.inFlight[k]
	delete(sh.inFlight, k)
	if epoch == u.epoch.Load() && (err == nil || ctx.Err() == nil) {
		e := sh.answers.peek(&k, hash)
		if err == nil {
			ttl = min(max(ttl, c.options.MinTTL), c.options.MaxTTL)
			e = entry{text: text, answered: true, arrivedAt: now, expiresAt: now + int64(ttl)}
		} else {
			e.failed, e.failedAt, e.failure = true, now, dnsclient.KindOf(err)
		}
		sh.answers.put(k, hash, e)
	}
	sh.mu.Unlock()
	u.inFlight.Add(-1)
	c.inFlight.Add(-1)
	close(done)
}

// runQuery has the owner of u look up k.
func (u *Upstream) runQuery(ctx context.Context, k Key) (text string, ttl time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	err = u.Protect(func() error {
		text, ttl, err = u.options.Query(ctx, k)
		return err
	})
	return text, ttl, err
}
