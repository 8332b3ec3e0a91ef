package iptable

import (
	"iter"
	"net/netip"
)

// segments6 are the IPv6 segments of a table: from one start up to the next, refs has the entry that decides, or 0. With
// isSingle, it decides only about the one address at the start, and none about those behind.
//
// The two halves of the starts are separate slices, since the upper ones nearly always suffice. If no entry divides a /64, as in
// most lists, there are no lower ones, and a single address is a whole /64.
type segments6 struct {
	upper searchTree
	lower []uint64
	refs  []ref
}

// isSingle is set in the ref of a segment of one address with none behind it.
const isSingle = opensRange

func (s *segments6) lookup(k key6) ref {
	end := s.upper.countUpTo(k.hi)
	if end == 0 {
		return 0
	}
	upper, hasLower := s.upper.words, len(s.lower) > 0
	if hasLower && upper[end-1] == k.hi && s.lower[end-1] > k.lo { // several starts may have that upper half
		begin := 0
		if k.hi > 0 {
			begin = countUpToNear(upper[:end], k.hi-1, end-1)
		}
		end = begin + countUpTo(s.lower[begin:end], k.lo)
		if end == 0 {
			return 0
		}
	}
	r := s.refs[end-1]
	if r&isSingle != 0 && (upper[end-1] != k.hi || hasLower && s.lower[end-1] != k.lo) {
		return 0
	}
	return r &^ isSingle
}

// boundaries returns the addresses at which the answer may change.
func (s *segments6) boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for i, hi := range s.upper.words {
			at := key6{hi: hi}
			if len(s.lower) > 0 {
				at.lo = s.lower[i]
			}
			if !yield(at.toAddr()) {
				return
			}
			if next, ok := at.incrementBy(len(s.lower) == 0); s.refs[i]&isSingle != 0 && ok && !yield(next.toAddr()) {
				return
			}
		}
	}
}

// incrementBy returns the next address, or the next /64; false after the last one.
func (k key6) incrementBy(whole64 bool) (key6, bool) {
	if whole64 {
		return key6{hi: k.hi + 1}, k.hi+1 != 0
	}
	return k.increment()
}

// builder6 takes the segments of a table in order.
type builder6 struct {
	segments6
	whole64 bool // no segment begins within a /64
	last    key6 // where the last segment begins
	ref     ref  // of the last segment

	dryRun bool // only count the segments
	count  int
}

// reserve makes room for n segments.
func (b *builder6) reserve(n int) {
	b.upper.words, b.refs = make([]uint64, 0, n), make([]ref, 0, n)
	if !b.whole64 {
		b.lower = make([]uint64, 0, n)
	}
}

// beginSegment begins a segment, which ends where the next one begins; see flatten.
func (b *builder6) beginSegment(at key6, r ref) {
	after, _ := b.last.incrementBy(b.whole64)
	isBehindSingle := r == 0 && b.ref != 0 && at == after
	if b.last, b.ref = at, r; isBehindSingle {
		if !b.dryRun {
			b.refs[len(b.refs)-1] |= isSingle
		}
		return
	}
	if b.count++; b.dryRun {
		return
	}
	b.upper.words, b.refs = append(b.upper.words, at.hi), append(b.refs, r)
	if !b.whole64 {
		b.lower = append(b.lower, at.lo)
	}
}

func (b *builder6) finish() segments6 {
	return segments6{newSearchTree(shrink(b.upper.words)), shrink(b.lower), shrink(b.refs)}
}
