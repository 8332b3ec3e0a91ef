package file

import (
	"iter"
	"math/bits"
	"net/netip"
	"slices"
)

// segments4 are the IPv4 segments of a table: disjoint, in order, cut where
// the upper half of the address changes. So the upper half leads to a few
// segments by one step through an index, and for each of them half an address
// is enough. Nothing is stored for addresses that no entry is about, nor where
// a segment ends that is a single address, as most are.
//
// A lookup reads a line of the cache for the index, one or two for the
// segments, and one for what it found.
type segments4 struct {
	firsts []uint16 // the lower half of the first address
	refs   []ref
	wide   bitmap   // those that have more than one address
	lasts  []uint16 // the lower half of the last address, of the wide ones
	// begin says where the segments of an upper half begin, and one more where
	// the last end: those of the upper half tops[i], or of i itself if tops is
	// nil, which takes 256 KiB and is for tables that are about as large.
	begin []uint32
	tops  []uint16
}

// indexFrom is the number of segments from which there is an index of all upper
// halves.
const indexFrom = 1 << 15

func (s *segments4) at(k key4) ref {
	top := int(k >> 16)
	if s.tops != nil {
		i, ok := slices.BinarySearch(s.tops, uint16(top))
		if !ok {
			return 0
		}
		top = i
	}
	if top+1 >= len(s.begin) {
		return 0
	}
	from := int(s.begin[top])
	firsts := s.firsts[from:s.begin[top+1]]
	if len(firsts) == 0 {
		return 0
	}
	// Segments spread over the addresses that they may have, more or less, so
	// that the last one that begins at or below low is not far from where it
	// would be if they did so evenly.
	low := uint16(k)
	n := upToNear(firsts, low, int(low)*len(firsts)>>16)
	if n == 0 {
		return 0
	}
	i := from + n - 1
	if firsts[n-1] < low && (!s.wide.has(i) || s.lasts[s.wide.rank(i)] < low) {
		return 0
	}
	return s.refs[i]
}

// bounds gives the addresses at which the answer may change.
func (s *segments4) bounds() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		next, last := uint64(0), ref(0) // behind the segment before, and its ref
		top := 0
		for i, first := range s.firsts {
			for i >= int(s.begin[top+1]) {
				top++
			}
			upper := uint64(top) << 16
			if s.tops != nil {
				upper = uint64(s.tops[top]) << 16
			}
			from := upper | uint64(first)
			to := from
			if s.wide.has(i) {
				to = upper | uint64(s.lasts[s.wide.rank(i)])
			}
			if from > next && last != 0 && !yield(key4(next).addr()) {
				return
			}
			if (from > next || s.refs[i] != last) && !yield(key4(from).addr()) {
				return
			}
			next, last = to+1, s.refs[i]
		}
		if last != 0 && next < 1<<32 {
			yield(key4(next).addr())
		}
	}
}

// bitmap says which of the segments are wide, and how many before each.
type bitmap struct {
	words  []uint64
	before []uint32 // how many are set in the words before each
}

func (b *bitmap) has(i int) bool { return b.words[i>>6]>>(i&63)&1 != 0 }

func (b *bitmap) rank(i int) int {
	return int(b.before[i>>6]) + bits.OnesCount64(b.words[i>>6]&(1<<(i&63)-1))
}

// builder4 takes the segments of a table in order.
type builder4 struct {
	segments4
	from key4
	open ref // of the segment that begins at from
}

// newBuilder4 makes room for n segments.
func newBuilder4(n int) *builder4 {
	return &builder4{segments4: segments4{firsts: make([]uint16, 0, n), refs: make([]ref, 0, n)}}
}

// emit begins a segment, which ends where the next begins; see flatten.
func (b *builder4) emit(at key4, r ref) {
	if b.open != 0 {
		b.segment(b.from, at-1, b.open)
	}
	b.from, b.open = at, r
}

// segment adds a segment, in pieces where the upper half changes.
func (b *builder4) segment(from, to key4, r ref) {
	for {
		top, end := from>>16, from|0xffff
		i := len(b.firsts)
		for len(b.begin) <= int(top) {
			b.begin = append(b.begin, uint32(i))
		}
		b.firsts, b.refs = append(b.firsts, uint16(from)), append(b.refs, r)
		if i&63 == 0 {
			b.wide.words = append(b.wide.words, 0)
			b.wide.before = append(b.wide.before, uint32(len(b.lasts)))
		}
		if last := min(end, to); last > from {
			b.wide.words[i>>6] |= 1 << (i & 63)
			b.lasts = append(b.lasts, uint16(last))
		}
		if to <= end {
			return
		}
		from = end + 1
	}
}

// finish gives the segments; one that is open reaches to the end of the
// addresses.
func (b *builder4) finish() segments4 {
	if b.open != 0 {
		b.segment(b.from, ^key4(0), b.open)
	}
	s, n := b.segments4, uint32(len(b.firsts))
	s.firsts, s.refs, s.lasts = trim(s.firsts), trim(s.refs), trim(s.lasts)
	s.wide.words, s.wide.before = trim(s.wide.words), trim(s.wide.before)
	switch begin := append(b.begin, n); {
	case n == 0:
		return segments4{}
	case n >= indexFrom:
		for len(begin) <= 1<<16 {
			begin = append(begin, n)
		}
		s.begin = trim(begin)
	default:
		s.begin = nil
		for top, from := range begin[:len(begin)-1] {
			if from < begin[top+1] {
				s.tops, s.begin = append(s.tops, uint16(top)), append(s.begin, from)
			}
		}
		s.begin = append(s.begin, n)
	}
	return s
}
