package listfile

import (
	"iter"
	"net/netip"
)

// segments6 are the IPv6 segments of a table: from one start up to the next,
// refs decides, which is 0 where no entry does. The halves of the starts are
// apart, since the upper ones decide nearly always.
type segments6 struct {
	his  tree
	los  []uint64
	refs []ref
}

func (s *segments6) at(k key6) ref {
	end := s.his.upTo(k.hi)
	if end == 0 {
		return 0
	}
	his := s.his.words
	if his[end-1] == k.hi && s.los[end-1] > k.lo { // several starts may have that upper half
		begin := 0
		if k.hi > 0 {
			begin = upToNear(his[:end], k.hi-1, end-1)
		}
		end = begin + upTo(s.los[begin:end], k.lo)
		if end == 0 {
			return 0
		}
	}
	return s.refs[end-1]
}

// grow makes room for n segments.
func (s *segments6) grow(n int) {
	s.his.words, s.los, s.refs = make([]uint64, 0, n), make([]uint64, 0, n), make([]ref, 0, n)
}

// emit adds a segment; they come in order.
func (s *segments6) emit(at key6, r ref) {
	s.his.words, s.los, s.refs = append(s.his.words, at.hi), append(s.los, at.lo), append(s.refs, r)
}

// finish is to be called when all were added.
func (s *segments6) finish() {
	s.his, s.los, s.refs = newTree(trim(s.his.words)), trim(s.los), trim(s.refs)
}

// bounds gives the addresses at which the answer may change.
func (s *segments6) bounds() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for i, hi := range s.his.words {
			if !yield((key6{hi, s.los[i]}).addr()) {
				return
			}
		}
	}
}
