package dnscache

import (
	"errors"
	"sync"
	"sync/atomic"

	"ehlogate/lists/breaker"
)

// ipv6Check is the result of the part of a health check that is about IPv6 addresses. A zone can answer well about IPv4
// alone.
type ipv6Check struct {
	state atomic.Uint32 // a breaker.State

	mu       sync.Mutex
	why      string // it is open
	passedAt int64  // when the last good check began, or breaker.Never
}

// CheckedIPv6 takes into account the part of the present health check that is about IPv6 addresses. An error that is no
// BogusError changes nothing.
func (u *Upstream) CheckedIPv6(err error) {
	c, now, why := &u.ipv6, breaker.Closed, ""
	if bogus := breaker.BogusError(nil); errors.As(err, &bogus) {
		now, why = breaker.Open, bogus.Error()
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
	c.mu.Unlock()
	switch {
	case now == was:
	case now == breaker.Open:
		u.flush(passedAt, (*Key).isIPv6)
		u.cache.notify(Event{Kind: IPv6Disabled, Upstream: u.options.Name, Why: why})
	case was == breaker.Open:
		u.cache.notify(Event{Kind: IPv6Enabled, Upstream: u.options.Name})
	}
}
