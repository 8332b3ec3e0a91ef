package ratelimit

import (
	"sync/atomic"
	"time"
)

// clock counts the time since it was made, and never runs backwards: a reading
// is never earlier than one that any goroutine got before, whatever the time
// that it reads does. It ends after 292 years.
type clock struct {
	wall  func() time.Time
	start time.Time
	last  atomic.Int64 // the latest reading
}

// begin starts the clock at 0.
func (c *clock) begin(t func() time.Time) { c.wall, c.start = t, t() }

// now returns the time since the start, in ns.
func (c *clock) now() int64 {
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
