package shed

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

	// A client is one word: whether it is remembered, whether it was
	// suppressed, the second in which that was, and a part of its hash.
	present    = 1
	suppressed = 2
	secondsAt  = 2
	secondBits = 22
	hashAt     = secondsAt + secondBits
	seconds    = 1<<secondBits - 1 // 48 days; nobody looks back that far
)

// memory holds what the last quarter of a million clients were told, in two
// megabytes, whatever clients come. The seed keeps anybody from choosing
// addresses that push out a certain one.
type memory struct {
	seed  maphash.Seed
	words [sets][ways]atomic.Uint64
}

// id is the hash of a client: an IPv4 address, or an IPv6 /64, of which every
// host has a whole one.
func (m *memory) id(a netip.Addr) uint64 {
	b := a.As16()
	if !a.Is4() {
		clear(b[8:])
	}
	return maphash.Bytes(m.seed, b[:])
}

func (m *memory) set(id uint64) *[ways]atomic.Uint64 { return &m.words[id%sets] }

// get gives the last answer and when it was given, in ns, a second exact.
func (m *memory) get(id uint64, now int64) (lists.Action, int64, bool) {
	for i := range m.set(id) {
		if w := m.set(id)[i].Load(); w&present != 0 && w>>hashAt == id>>hashAt {
			a := lists.Offer
			if w&suppressed != 0 {
				a = lists.Suppress
			}
			return a, now - age(w, now), true
		}
	}
	return 0, 0, false
}

// put remembers an answer, in place of the client's last or the oldest one.
func (m *memory) put(id uint64, a lists.Action, now int64) {
	set := m.set(id)
	word := id>>hashAt<<hashAt | second(now)<<secondsAt | present
	if a == lists.Suppress {
		word |= suppressed
	}
	for {
		oldest, oldestAge := 0, int64(-1)
		var old uint64
		for i := range set {
			w := set[i].Load()
			if w&present == 0 || w>>hashAt == id>>hashAt {
				oldest, old = i, w
				break
			}
			a := age(w, now)
			if w&suppressed != 0 { // there are many of them in a flood, and a client that was offered STARTTLS is to keep that
				a += int64(report)
			}
			if a > oldestAge {
				oldest, oldestAge, old = i, a, w
			}
		}
		if set[oldest].CompareAndSwap(old, word) {
			return
		}
	}
}

func second(now int64) uint64 { return uint64(now/int64(time.Second)) & seconds }

// age is in ns; a clock that was set back makes what seems to come very old.
func age(word uint64, now int64) int64 {
	return int64((second(now)-word>>secondsAt)&seconds) * int64(time.Second)
}
