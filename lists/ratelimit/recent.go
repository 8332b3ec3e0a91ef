package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"ehlogate/lists"
)

const (
	sets = 1 << 15 // of clients, by hash
	ways = 8       // clients of a set: 64 bytes, a cache line
)

// recentDecisions has the last decisions about a quarter of a million clients, in two megabytes: a set-associative
// cache. The seed keeps attackers from choosing addresses that evict a certain one.
type recentDecisions struct {
	seed maphash.Seed
	sets [sets][ways]atomic.Uint64
}

// record is a decision about a client. It is one word, so that it is read and replaced as a whole; 0 is none.
//
//	63     34 33      2       1           0
//	   hash    second    by pressure  suppressed
//
// The second is counted from 1 and has room for 136 years. With the 15 bits that choose a set, 45 bits of the hash tell
// clients apart.
type record uint64

const (
	suppressedBit = 1 << 0
	pressureBit   = 1 << 1 // CPU pressure was the reason

	secondShift = 2
	secondBits  = 32
	hashShift   = secondShift + secondBits
)

func newRecord(id uint64, a lists.Action, reason lists.Reason, now int64) record {
	r := record(id>>hashShift<<hashShift | uint64(toSeconds(now)+1)<<secondShift)
	if a == lists.Suppress {
		r |= suppressedBit
	}
	if reason == lists.ReasonPressure {
		r |= pressureBit
	}
	return r
}

// action returns the decision: Offer or Suppress.
func (r record) action() lists.Action {
	if r&suppressedBit != 0 {
		return lists.Suppress
	}
	return lists.Offer
}

// reason returns the reason of the decision.
func (r record) reason() lists.Reason {
	if r&pressureBit != 0 {
		return lists.ReasonPressure
	}
	return lists.ReasonLimit
}

// matches reports whether r is about the client with this hash.
func (r record) matches(id uint64) bool { return r != 0 && uint64(r)>>hashShift == id>>hashShift }

// isWithin reports whether there is a decision, no older than d. Seconds are compared, so it may be up to a second
// older, and is never taken for older than it is.
func (r record) isWithin(d time.Duration, now int64) bool {
	return r != 0 && r.seconds(now) <= toSeconds(int64(d+time.Second-1))
}

// seconds returns the age of the decision; less than 0 if it is newer than now.
func (r record) seconds(now int64) int64 {
	return toSeconds(now) + 1 - int64(r>>secondShift&(1<<secondBits-1))
}

func toSeconds(ns int64) int64 { return ns / int64(time.Second) }

// hashClient returns the hash of a client: an IPv4 address, or an IPv6 /64, since each host has a whole one.
func (c *recentDecisions) hashClient(a netip.Addr) uint64 {
	b := a.As16()
	if !a.Is4() {
		clear(b[8:])
	}
	return maphash.Bytes(c.seed, b[:])
}

// lookup returns the last decision about a client, or 0.
func (c *recentDecisions) lookup(id uint64) record {
	set := &c.sets[id%sets]
	for i := range set {
		if r := record(set[i].Load()); r.matches(id) {
			return r
		}
	}
	return 0
}

// replace stores the next decision about a client in place of the last one. It reports false, and stores nothing, if
// last is no longer the last one.
func (c *recentDecisions) replace(id uint64, last, next record, now int64) bool {
	set := &c.sets[id%sets]
	for {
		// Every caller that sees the same set chooses the same word, and all decisions that are added later are newer.
		// So two callers never add the same client in two places.
		var found, victim record
		at, oldest := 0, int64(-1)<<62
		for i := range set {
			r := record(set[i].Load())
			if r.matches(id) {
				at, victim, found = i, r, r
				break
			}
			age := r.seconds(now)
			switch {
			case r == 0:
				age = 1 << 62
			case r.action() == lists.Suppress: // there are many of them in a flood, and a client that was offered STARTTLS is to keep that
				age += toSeconds(int64(reportTime))
			}
			if age > oldest {
				at, victim, oldest = i, r, age
			}
		}
		if found != last {
			return false
		}
		if set[at].CompareAndSwap(uint64(victim), uint64(next)) {
			return true
		}
	}
}

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
