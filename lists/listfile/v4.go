package listfile

import (
	"iter"
	"net/netip"
	"slices"
)

// segments4 are the IPv4 segments of a table: disjoint, in order, cut where
// the upper half of the address changes. So the upper half leads to a few
// segments by one step through an index, and for each of them half an address
// is enough. Nothing is stored for addresses that no entry is about.
//
// A segment of one address, as most are, is one mark; another is two, at its
// first address and at its last. All that a lookup reads of one upper half
// stands together: first the halves of addresses, then the refs, each in two
// parts, the lower one first. That is a line of the cache for the index and two
// for the marks.
type segments4 struct {
	marks []uint16 // three for each
	// begin says where the marks of an upper half begin, and one more where
	// the last end: those of the upper half tops[i], or of i itself if tops is
	// nil, which takes 256 KiB and is for tables that are about as large.
	begin []uint32
	tops  []uint16
}

// indexFrom is the number of marks from which there is an index of all upper
// halves.
const indexFrom = 1 << 15

// opens is set in the ref at the first address of a segment that has more.
const opens ref = 1 << 30

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
	halves, refs := s.of(top)
	if len(halves) == 0 {
		return 0
	}
	// Marks spread over the addresses that they may have, more or less, so
	// that the last one at or below low is not far from where it would be if
	// they did so evenly. Its ref is asked for at once, since what lies beside it
	// is in a cache then by the time that the right one is known.
	low := uint16(k)
	guess := int(low) * len(halves) >> 16
	r := refAt(refs, guess)
	n := upToNear(halves, low, guess) - 1
	if n < 0 {
		return 0
	}
	if n != guess {
		r = refAt(refs, n)
	}
	if r&opens == 0 && halves[n] != low {
		return 0
	}
	return r &^ opens
}

// of gives the marks of the upper half that is behind begin[i].
func (s *segments4) of(i int) (halves, refs []uint16) {
	from, to := int(s.begin[i]), int(s.begin[i+1])
	marks := s.marks[3*from : 3*to]
	return marks[:to-from], marks[to-from:]
}

func refAt(refs []uint16, i int) ref {
	return ref(refs[2*i]) | ref(refs[2*i+1])<<16
}

// bounds gives the addresses at which the answer may change.
func (s *segments4) bounds() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		next, last := uint64(0), ref(0) // behind the segment before, and its ref
		for i := range max(1, len(s.begin)) - 1 {
			upper := uint64(i) << 16
			if s.tops != nil {
				upper = uint64(s.tops[i]) << 16
			}
			halves, refs := s.of(i)
			for n := 0; n < len(halves); n++ {
				r, from := refAt(refs, n), upper|uint64(halves[n])
				if r&opens != 0 {
					r, n = r&^opens, n+1
				}
				if from > next && last != 0 && !yield(key4(next).addr()) {
					return
				}
				if (from > next || r != last) && !yield(key4(from).addr()) {
					return
				}
				next, last = upper|uint64(halves[n])+1, r
			}
		}
		if last != 0 && next < 1<<32 {
			yield(key4(next).addr())
		}
	}
}

// builder4 takes the segments of a table in order.
type builder4 struct {
	marks []uint16
	begin []uint32 // of each upper half so far
	from  key4
	open  ref // of the segment that begins at from

	halves, refs []uint16 // of the last upper half

	counts bool // only count the marks
	count  int
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
		if top := int(from >> 16); top >= len(b.begin) {
			b.endHalf(top + 1)
		}
		end := min(from|0xffff, to)
		if end > from {
			b.mark(from, r|opens)
		}
		b.mark(end, r)
		if end == to {
			return
		}
		from = end + 1
	}
}

func (b *builder4) mark(at key4, r ref) {
	if b.count++; b.counts {
		return
	}
	b.halves, b.refs = append(b.halves, uint16(at)), append(b.refs, uint16(r), uint16(r>>16))
}

// endHalf ends the marks of an upper half, and lets begin have n of them.
func (b *builder4) endHalf(n int) {
	b.marks = append(append(b.marks, b.halves...), b.refs...)
	b.halves, b.refs = b.halves[:0], b.refs[:0]
	for len(b.begin) < n {
		b.begin = append(b.begin, uint32(len(b.marks)/3))
	}
}

// end ends the last segment, which reaches to the end of the addresses.
func (b *builder4) end() {
	if b.open != 0 {
		b.segment(b.from, ^key4(0), b.open)
	}
	b.endHalf(0)
}

// finish gives the segments.
func (b *builder4) finish() segments4 {
	s, n := segments4{marks: trim(b.marks)}, uint32(len(b.marks)/3)
	switch begin := append(b.begin, n); {
	case n == 0:
	case n >= indexFrom:
		for len(begin) <= 1<<16 {
			begin = append(begin, n)
		}
		s.begin = trim(begin)
	default:
		for top, from := range begin[:len(begin)-1] {
			if from < begin[top+1] {
				s.tops, s.begin = append(s.tops, uint16(top)), append(s.begin, from)
			}
		}
		s.begin = append(s.begin, n)
	}
	return s
}
