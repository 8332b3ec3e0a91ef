package maillog

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxStep is how much older than the line before it a line may be: several processes write a log. An older one means that
	// the clock was set back, that another log begins, or that another host has another clock or zone.
	maxStep  = 10 * time.Minute
	maxHosts = 1 << 10
)

// clock makes one time of those of a log, which never goes back.
type clock struct {
	now     stamp
	host    string // of the last line
	offset  int64  // ns, of that host
	offsets *simplelru.LRU[string, int64]
}

func newClock() clock {
	offsets, _ := simplelru.NewLRU[string, int64](maxHosts, nil) // an error is a size below 1
	return clock{offsets: offsets}
}

// advance takes the time of a line, and reports whether that is later than before.
func (c *clock) advance(host []byte, at stamp) bool {
	if c.host != string(host) {
		c.offsets.Add(c.host, c.offset)
		c.host = string(host)
		var known bool
		if c.offset, known = c.offsets.Get(c.host); !known && at-c.now > int64(maxStep) && c.now != 0 {
			c.offset = c.now - at
		}
	}
	if c.now-at-c.offset > int64(maxStep) {
		c.offset = c.now - at
	}
	if at+c.offset <= c.now {
		return false
	}
	c.now = at + c.offset
	return true
}
