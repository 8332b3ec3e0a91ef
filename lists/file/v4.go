package file

import (
	"iter"
	"net/netip"
	"slices"
)

// segments4 are the IPv4 segments of a table: disjoint, in order, cut where
// the upper half of the address changes. So the upper half leads to a few
// segments by one step through an index, and each of them fits into a word:
//
//	63       48 47      32 31        0
//	first       last       ref          of the addresses with that upper half
//
// A lookup reads a line of the cache for the index and one or two for the
// segments. Nothing is stored for addresses that no entry is about.
type segments4 struct {
	words []uint64
	// begin says where the segments of an upper half begin, and one more where
	// the last end: those of the upper half tops[i], or of i itself if tops is
	// nil, which takes 256 KiB and is for tables that are larger than that.
	begin []uint32
	tops  []uint16
}

// indexFrom is the number of segments from which an index of all upper halves
// is smaller than they are.
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
	words := s.words[s.begin[top]:s.begin[top+1]]
	low := uint64(k & 0xffff)
	if len(words) == 0 {
		return 0
	}
	// Segments spread over the addresses that they may have, more or less, so
	// that the last one that begins at or below low is not far from where it
	// would be if they did so evenly.
	n := upToNear(words, low<<48|(1<<48-1), int(low)*len(words)>>16)
	if n == 0 {
		return 0
	}
	if w := words[n-1]; w>>32&0xffff >= low {
		return ref(w)
	}
	return 0
}

// bounds gives the addresses at which the answer may change.
func (s *segments4) bounds() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		next, last := uint64(0), ref(0) // behind the segment before, and its ref
		top := 0
		for i, w := range s.words {
			for i >= int(s.begin[top+1]) {
				top++
			}
			upper := uint64(top)
			if s.tops != nil {
				upper = uint64(s.tops[top])
			}
			from, to := upper<<16|w>>48, upper<<16|w>>32&0xffff
			if from > next && last != 0 && !yield(key4(next).addr()) {
				return
			}
			if (from > next || ref(w) != last) && !yield(key4(from).addr()) {
				return
			}
			next, last = to+1, ref(w)
		}
		if last != 0 && next < 1<<32 {
			yield(key4(next).addr())
		}
	}
}

// builder4 takes the segments of a table in order.
type builder4 struct {
	words []uint64
	begin []uint32
	from  key4
	open  ref // of the segment that begins at from
}

func (b *builder4) emit(at key4, r ref) {
	if b.open != 0 {
		b.segment(b.from, at-1)
	}
	b.from, b.open = at, r
}

// segment adds a segment, in pieces where the upper half changes.
func (b *builder4) segment(from, to key4) {
	for {
		top, end := from>>16, from|0xffff
		for len(b.begin) <= int(top) {
			b.begin = append(b.begin, uint32(len(b.words)))
		}
		last := min(end, to)
		b.words = append(b.words, uint64(from&0xffff)<<48|uint64(last&0xffff)<<32|uint64(b.open))
		if to <= end {
			return
		}
		from = end + 1
	}
}

// finish gives the segments; the last one reaches to the end of the addresses.
func (b *builder4) finish() segments4 {
	if b.open != 0 {
		b.segment(b.from, ^key4(0))
	}
	s := segments4{words: trim(b.words)}
	if len(s.words) == 0 {
		return s
	}
	n := uint32(len(s.words))
	if n >= indexFrom {
		for len(b.begin) <= 1<<16 {
			b.begin = append(b.begin, n)
		}
		s.begin = trim(b.begin)
		return s
	}
	b.begin = append(b.begin, n)
	s.tops = make([]uint16, 0, 8)
	for top, begin := range b.begin[:len(b.begin)-1] {
		if begin < b.begin[top+1] {
			s.tops, s.begin = append(s.tops, uint16(top)), append(s.begin, begin)
		}
	}
	s.begin = append(s.begin, n)
	return s
}

// entries4 are the IPv4 entries of a table that is being made. Those that are
// prefixes, nearly all, take a word each:
//
//	63       32 31   0
//	from        ref
type entries4 struct {
	prefixes []uint64
	ranges   []span[key4]
	bits     []uint8 // of the table: the length of each prefix
}

func (e *entries4) addPrefix(from key4, r ref) {
	e.prefixes = append(e.prefixes, uint64(from)<<32|uint64(r))
}

// sorted gives all entries in the order of their first addresses.
func (e *entries4) sorted() (next func() (span[key4], bool), spare []uint64) {
	prefixes, spare := sortWords(e.prefixes)
	sortSpans(e.ranges)
	ranges := e.ranges
	return func() (span[key4], bool) {
		switch {
		case len(prefixes) > 0 && (len(ranges) == 0 || key4(prefixes[0]>>32) <= ranges[0].from):
			w := prefixes[0]
			prefixes = prefixes[1:]
			from, r := key4(w>>32), ref(w)
			return span[key4]{from, from | key4(uint64(1)<<(32-e.bits[r.id()])-1), r}, true
		case len(ranges) > 0:
			s := ranges[0]
			ranges = ranges[1:]
			return s, true
		}
		return span[key4]{}, false
	}, spare
}

// sortWords sorts by the upper half of the words, and gives a second slice of
// the same size that is free for use. Lists are long, and often in no order:
// it sorts by 11 bits at a time.
func sortWords(a []uint64) (sorted, spare []uint64) {
	b := make([]uint64, len(a))
	if slices.IsSorted(a) {
		return a, b
	}
	const passes, digit = 3, 1<<11 - 1
	var counts [passes][digit + 1]uint32
	for _, w := range a {
		for p := range passes {
			counts[p][w>>(32+11*p)&digit]++
		}
	}
	for p := range passes {
		sum := uint32(0)
		for i, n := range counts[p] {
			counts[p][i] = sum
			sum += n
		}
		for _, w := range a {
			at := &counts[p][w>>(32+11*p)&digit]
			b[*at] = w
			*at++
		}
		a, b = b, a
	}
	return a, b
}
