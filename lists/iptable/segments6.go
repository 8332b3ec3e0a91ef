package iptable

import (
	"iter"
	"net/netip"
)

// segments6 are the IPv6 segments of a table: from one start up to the next, refs has the entry that decides, or 0.
// The two halves of the starts are separate slices, since the upper ones nearly always suffice.
type segments6 struct {
	upper searchTree
	lower []uint64
	refs  []ref
}

func (s *segments6) lookup(k key6) ref {
	end := s.upper.countUpTo(k.hi)
	if end == 0 {
		return 0
	}
	upper := s.upper.words
	if upper[end-1] == k.hi && s.lower[end-1] > k.lo { // several starts may have that upper half
		begin := 0
		if k.hi > 0 {
			begin = countUpToNear(upper[:end], k.hi-1, end-1)
		}
		end = begin + countUpTo(s.lower[begin:end], k.lo)
		if end == 0 {
			return 0
		}
	}
	return s.refs[end-1]
}

// reserve makes room for n segments.
func (s *segments6) reserve(n int) {
	s.upper.words, s.lower, s.refs = make([]uint64, 0, n), make([]uint64, 0, n), make([]ref, 0, n)
}

// beginSegment adds a segment. They come in order.
func (s *segments6) beginSegment(at key6, r ref) {
	s.upper.words, s.lower, s.refs = append(s.upper.words, at.hi), append(s.lower, at.lo), append(s.refs, r)
}

func (s *segments6) finish() {
	s.upper, s.lower, s.refs = newSearchTree(shrink(s.upper.words)), shrink(s.lower), shrink(s.refs)
}

// boundaries returns the addresses at which the answer may change.
func (s *segments6) boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for i, hi := range s.upper.words {
			if !yield((key6{hi, s.lower[i]}).toAddr()) {
				return
			}
		}
	}
}
