package ratelimit

import (
	"sync/atomic"
	"time"
)

// clock counts the time since start, and never runs backwards: a reading is never earlier than one that any goroutine
// got before, whatever the wall clock does. It ends after 292 years.
type clock struct {
	wall  func() time.Time
	start time.Time
	last  atomic.Int64 // the latest reading
}

// elapsed returns the time since the start, in ns.
func (c *clock) elapsed() int64 {
	t := int64(c.wall().Sub(c.start))
	for {
		last := c.last.Load()
		if t <= last {
			return last
		}
		if c.last.CompareAndSwap(last, t) {
			return t
		}
	}
}
