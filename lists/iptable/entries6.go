package iptable

import (
	"cmp"
	"slices"
)

// entries6 collects the IPv6 entries of a table. Their number is not known, and the memory that a growing slice leaves behind
// would be as large as the table. So prefixes, as nearly all entries are, are kept in chunks, each of which is sorted by
// itself.
type entries6 struct {
	chunks [][]prefix6
	ranges []span[key6]
	// divides64: an entry is about a part of a /64.
	divides64    bool
	sharesFirsts bool // see flattener
}

// prefix6 is an entry that is a prefix. Its length is where padding would be.
type prefix6 struct {
	from  key6
	entry ref
	bits  uint8
}

// compare sorts by the first address, wider ones before narrower, and equal ones by number.
func (p prefix6) compare(o prefix6) int {
	if p.from != o.from {
		return compareKeys(p.from, o.from)
	}
	return cmp.Or(cmp.Compare(p.bits, o.bits), cmp.Compare(p.entry, o.entry))
}

const chunkSize = 1 << 12

// appendChunked appends to the last chunk, or begins another.
func appendChunked[T any](chunks [][]T, v T) [][]T {
	if n := len(chunks); n == 0 || len(chunks[n-1]) == chunkSize {
		chunks = append(chunks, make([]T, 0, chunkSize))
	}
	last := &chunks[len(chunks)-1]
	*last = append(*last, v)
	return chunks
}

func (e *entries6) addPrefix(from key6, bits int, r ref) {
	e.divides64 = e.divides64 || bits > 64
	e.chunks = appendChunked(e.chunks, prefix6{from, r, uint8(bits)})
}

func (e *entries6) addRange(s span[key6]) {
	e.divides64 = e.divides64 || s.from.lo != 0 || s.to.lo != ^uint64(0)
	e.ranges = appendDoubling(e.ranges, s)
}

// flatten returns the entries as segments, and as a tree those that depend on the time.
func (e *entries6) flatten(until *expiries) (_ segments6, tree intervalTree[key6]) {
	for _, chunk := range e.chunks {
		slices.SortFunc(chunk, prefix6.compare)
	}
	sortSpans(e.ranges)
	f := flattener[key6]{until: until, timeDependent: func([]span[key6]) {}}
	counter := builder6{whole64: !e.divides64, dryRun: true}
	f.flatten(e.inOrder(), counter.beginSegment) // a dry run is the only way to know how many there will be
	b := builder6{whole64: !e.divides64}
	b.reserve(counter.count)
	f.timeDependent = func(s []span[key6]) { tree.add(s, until) }
	f.flatten(e.inOrder(), b.beginSegment)
	tree.finish()
	e.sharesFirsts = f.sharesFirsts
	return b.finish(), tree
}

// inOrder returns an iterator over all entries: by the first address, wider ones before narrower, and equal ones by number.
func (e *entries6) inOrder() func() (span[key6], bool) {
	prefixes, ranges := newMerge(e.chunks), e.ranges
	return func() (s span[key6], more bool) {
		if len(prefixes.heap) > 0 {
			p := prefixes.heap[0].first
			s = span[key6]{p.from, p.from.lastOf(int(p.bits)), p.entry}
			if len(ranges) == 0 || compareExtents(s, ranges[0]) < 0 {
				prefixes.removeFirst()
				return s, true
			}
		}
		if len(ranges) > 0 {
			s, ranges = ranges[0], ranges[1:]
			return s, true
		}
		return s, false
	}
}

// merge6 is a heap of what is left of sorted chunks, none of them empty, with the chunk on top whose first prefix comes first.
type merge6 struct{ heap []chunk6 }

// chunk6 has the first prefix of what is left apart: all of these fit into the processor's cache.
type chunk6 struct {
	first prefix6
	rest  []prefix6
}

func newMerge(chunks [][]prefix6) merge6 {
	m := merge6{make([]chunk6, len(chunks))}
	for i, c := range chunks {
		m.heap[i] = chunk6{c[0], c[1:]}
	}
	slices.SortFunc(m.heap, func(a, b chunk6) int { return a.first.compare(b.first) })
	return m
}

// comesBefore is compare(*o) < 0, in less time.
func (p *prefix6) comesBefore(o *prefix6) bool {
	if p.from.hi != o.from.hi {
		return p.from.hi < o.from.hi
	}
	return p.compare(*o) < 0
}

func (m *merge6) removeFirst() {
	h := m.heap
	top := h[0]
	if len(top.rest) > 0 {
		top.first, top.rest = top.rest[0], top.rest[1:]
	} else {
		last := len(h) - 1
		top, h[last] = h[last], chunk6{}
		h = h[:last]
		if m.heap = h; last == 0 {
			return
		}
	}
	at := 0
	for child := 1; child < len(h); child = 2*at + 1 {
		if child+1 < len(h) && h[child+1].first.comesBefore(&h[child].first) {
			child++
		}
		if !h[child].first.comesBefore(&top.first) {
			break
		}
		h[at], at = h[child], child
	}
	h[at] = top
}
