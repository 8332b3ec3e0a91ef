package iptable

import (
	"iter"
	"net/netip"
	"slices"
)

// segments4 are the IPv4 segments of a table: disjoint, in order, cut where the upper half of the address changes. So
// the upper half leads to a few segments by one step through an index, and each of them needs only half an address.
// Addresses without an entry take no memory.
//
// A segment of one address, as most are, is one mark; any other is two, at its first and last address. All that a lookup
// reads for one upper half is contiguous: first the lower halves of the marks, then their refs, each as two words, the
// lower one first. That is one cache line for the index and two for the marks.
type segments4 struct {
	marks []uint16 // three for each
	// begin has the place where the marks of each upper half begin, and finally where the last ones end: those of the
	// upper half tops[i], or of i itself if tops is nil. The latter takes 256 KiB and is for tables that are about as
	// large.
	begin []uint32
	tops  []uint16
}

// fullIndexFrom is the number of marks from which all upper halves are indexed.
const fullIndexFrom = 1 << 15

// opensRange is set in the ref at the first address of a segment that has more.
const opensRange ref = 1 << 30

func (s *segments4) lookup(k key4) ref {
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
	halves, refs := s.marksOf(top)
	if len(halves) == 0 {
		return 0
	}
	// An interpolation search: marks are spread more or less evenly, so the last one at or below low is near the guess.
	// The ref there is loaded at once: its cache line has arrived by the time the right one is known.
	low := uint16(k)
	guess := int(low) * len(halves) >> 16
	r := refAt(refs, guess)
	n := countUpToNear(halves, low, guess) - 1
	if n < 0 {
		return 0
	}
	if n != guess {
		r = refAt(refs, n)
	}
	if r&opensRange == 0 && halves[n] != low {
		return 0
	}
	return r &^ opensRange
}

// marksOf returns the marks from begin[i] on.
func (s *segments4) marksOf(i int) (halves, refs []uint16) {
	from, to := int(s.begin[i]), int(s.begin[i+1])
	marks := s.marks[3*from : 3*to]
	return marks[:to-from], marks[to-from:]
}

func refAt(refs []uint16, i int) ref {
	return ref(refs[2*i]) | ref(refs[2*i+1])<<16
}

// boundaries returns the addresses at which the answer may change.
func (s *segments4) boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		next, last := uint64(0), ref(0) // the address after the previous segment, and its ref
		for i := range max(1, len(s.begin)) - 1 {
			upper := uint64(i) << 16
			if s.tops != nil {
				upper = uint64(s.tops[i]) << 16
			}
			halves, refs := s.marksOf(i)
			for n := 0; n < len(halves); n++ {
				r, from := refAt(refs, n), upper|uint64(halves[n])
				if r&opensRange != 0 {
					r, n = r&^opensRange, n+1
				}
				if from > next && last != 0 && !yield(key4(next).toAddr()) {
					return
				}
				if (from > next || r != last) && !yield(key4(from).toAddr()) {
					return
				}
				next, last = upper|uint64(halves[n])+1, r
			}
		}
		if last != 0 && next < 1<<32 {
			yield(key4(next).toAddr())
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

	dryRun bool // only count the marks
	count  int
}

// beginSegment begins a segment, which ends where the next one begins; see flatten.
func (b *builder4) beginSegment(at key4, r ref) {
	if b.open != 0 {
		b.addSegment(b.from, at-1, b.open)
	}
	b.from, b.open = at, r
}

// addSegment adds a segment, in pieces where the upper half changes.
func (b *builder4) addSegment(from, to key4, r ref) {
	for {
		if top := int(from >> 16); top >= len(b.begin) {
			b.endUpperHalf(top + 1)
		}
		end := min(from|0xffff, to)
		if end > from {
			b.addMark(from, r|opensRange)
		}
		b.addMark(end, r)
		if end == to {
			return
		}
		from = end + 1
	}
}

func (b *builder4) addMark(at key4, r ref) {
	if b.count++; b.dryRun {
		return
	}
	b.halves, b.refs = append(b.halves, uint16(at)), append(b.refs, uint16(r), uint16(r>>16))
}

// endUpperHalf ends the marks of an upper half, and extends begin to n of them.
func (b *builder4) endUpperHalf(n int) {
	b.marks = append(append(b.marks, b.halves...), b.refs...)
	b.halves, b.refs = b.halves[:0], b.refs[:0]
	for len(b.begin) < n {
		b.begin = append(b.begin, uint32(len(b.marks)/3))
	}
}

// endLast ends the last segment, which reaches to the last address.
func (b *builder4) endLast() {
	if b.open != 0 {
		b.addSegment(b.from, ^key4(0), b.open)
	}
	b.endUpperHalf(0)
}

func (b *builder4) finish() segments4 {
	s, n := segments4{marks: shrink(b.marks)}, uint32(len(b.marks)/3)
	switch begin := append(b.begin, n); {
	case n == 0:
	case n >= fullIndexFrom:
		for len(begin) <= 1<<16 {
			begin = append(begin, n)
		}
		s.begin = shrink(begin)
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
