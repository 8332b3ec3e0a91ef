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
	ways = 8       // clients of a set: 64 bytes, a line of the cache
)

// recentDecisions holds the last answers to a quarter of a million clients, in two
// megabytes, whatever clients come. The seed keeps an attacker from choosing
// addresses that push out a certain one.
type recentDecisions struct {
	seed  maphash.Seed
	words [sets][ways]atomic.Uint64
}

// record is what a client was told: one word, so that it is read and replaced as
// a whole. 0 is none.
//
//	63     34 33      1      0
//	   hash    second    suppressed
//
// The second is counted from 1 and has room for 272 years. With the 15 bits by
// which a set is found, 45 bits of the hash tell clients apart.
type record uint64

const (
	secondAt   = 1
	secondBits = 33
	hashAt     = secondAt + secondBits
)

func newRecord(id uint64, a lists.Action, now int64) record {
	w := record(id>>hashAt<<hashAt | uint64(second(now)+1)<<secondAt)
	if a == lists.Suppress {
		w |= 1
	}
	return w
}

// action returns the answer itself: Offer or Suppress.
func (w record) action() lists.Action {
	if w&1 != 0 {
		return lists.Suppress
	}
	return lists.Offer
}

// within reports whether there is an answer and it is no older than d. Seconds are
// compared, so it may be up to a second older, and is never taken for older than
// it is.
func (w record) within(d time.Duration, now int64) bool {
	return w != 0 && w.age(now) <= second(int64(d+time.Second-1))
}

// age is in seconds; less than 0 if the answer is newer than now.
func (w record) age(now int64) int64 {
	return second(now) + 1 - int64(w>>secondAt&(1<<secondBits-1))
}

func second(ns int64) int64 { return ns / int64(time.Second) }

// id returns the hash of a client: an IPv4 address, or an IPv6 /64, since each
// host has a whole one.
func (m *recentDecisions) id(a netip.Addr) uint64 {
	b := a.As16()
	if !a.Is4() {
		clear(b[8:])
	}
	return maphash.Bytes(m.seed, b[:])
}

// find returns the last answer to a client, or 0.
func (m *recentDecisions) find(id uint64) record {
	set := &m.words[id%sets]
	for i := range set {
		if w := record(set[i].Load()); w != 0 && uint64(w)>>hashAt == id>>hashAt {
			return w
		}
	}
	return 0
}

// replace notes the answer is for a client to which the last one was was. It
// reports false, and notes nothing, if was is no longer the last answer.
func (m *recentDecisions) replace(id uint64, was, is record, now int64) bool {
	set := &m.words[id%sets]
	for {
		// Every caller that sees the same set chooses the same word, and all
		// answers that are added later are newer: so two callers never add the
		// same client in two places.
		var last, old record
		at, oldest := 0, int64(-1)<<62
		for i := range set {
			w := record(set[i].Load())
			if w != 0 && uint64(w)>>hashAt == id>>hashAt {
				at, old, last = i, w, w
				break
			}
			age := w.age(now)
			switch {
			case w == 0:
				age = 1 << 62
			case w.action() == lists.Suppress: // there are many of them in a flood, and a client that was offered STARTTLS is to keep that
				age += second(int64(report))
			}
			if age > oldest {
				at, old, oldest = i, w, age
			}
		}
		if last != was {
			return false
		}
		if set[at].CompareAndSwap(uint64(old), uint64(is)) {
			return true
		}
	}
}
