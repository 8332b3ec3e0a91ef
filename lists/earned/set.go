package earned

import (
	"iter"
	"math/bits"
	"math/rand/v2"
)

// set is a set of clients: a hash table with linear probing, of 12 bytes for each. A lookup reads one cache line, now and
// then the one behind it. It has no pointers for the garbage collector to follow.
type set struct {
	slots []client // 0: free
	n     int
}

// newSet returns an empty set for at most n clients. A third of its slots remain free.
func newSet(n int) set { return set{slots: make([]client, n+n/2+1)} }

// A sender of mail can choose its IPv6 networks, and cannot know these, so that it cannot make them meet in few slots.
var hashKeys = [2]uint64{rand.Uint64() | 1, rand.Uint64() | 1}

// firstSlot returns where the search for a client begins.
func (s *set) firstSlot(c client) int {
	h := uint64(c) * hashKeys[0]
	h = (h ^ h>>32) * hashKeys[1]
	i, _ := bits.Mul64(h, uint64(len(s.slots)))
	return int(i)
}

func (s *set) has(c client) bool {
	if s.n == 0 {
		return false
	}
	for i := s.firstSlot(c); ; {
		switch s.slots[i] {
		case c:
			return true
		case 0:
			return false
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// insert adds a client that is not in the set.
func (s *set) insert(c client) {
	i := s.firstSlot(c)
	for s.slots[i] != 0 {
		if i++; i == len(s.slots) {
			i = 0
		}
	}
	s.slots[i] = c
	s.n++
}

func (s *set) all() iter.Seq[client] {
	return func(yield func(client) bool) {
		for _, c := range s.slots {
			if c != 0 && !yield(c) {
				return
			}
		}
	}
}
