package iptable

import (
	"math/bits"
	"slices"
)

// sparse holds a value for some of the entries, sorted by entry number since entries are added in that order. Like all
// of a table it has no pointers for the garbage collector to follow.
type sparse[V any] struct {
	ids    []int32
	values []V
}

func (s *sparse[V]) add(id int32, v V) {
	s.ids, s.values = appendDoubling(s.ids, id), appendDoubling(s.values, v)
}

// floor returns the last id that is not above id, and its value. There is one.
func (s *sparse[V]) floor(id int32) (at int32, v V) {
	i, ok := slices.BinarySearch(s.ids, id)
	if !ok {
		i--
	}
	return s.ids[i], s.values[i]
}

func (s *sparse[V]) shrink() { s.ids, s.values = shrink(s.ids), shrink(s.values) }

// expiries holds when entries expire, in Unix nanoseconds, for those that do. It is a bit set with ranks: little
// memory if all entries expire or none does, and found in one step.
type expiries struct {
	words  []expiryWord
	chunks [][]int64 // the times in order
	n      int
}

// expiryWord is about 64 entries.
type expiryWord struct {
	bits uint64
	rank uint32 // how many entries before these expire
}

// add is called in the order of ids.
func (e *expiries) add(id int32, ns int64) {
	for int(id>>6) >= len(e.words) {
		e.words = appendDoubling(e.words, expiryWord{rank: uint32(e.n)})
	}
	e.words[id>>6].bits |= 1 << (id & 63)
	e.chunks = appendChunked(e.chunks, ns)
	e.n++
}

func (e *expiries) lookup(id int32) (ns int64, ok bool) {
	if int(id>>6) >= len(e.words) {
		return 0, false
	}
	w := e.words[id>>6]
	bit := uint64(1) << (id & 63)
	if w.bits&bit == 0 {
		return 0, false
	}
	i := int(w.rank) + bits.OnesCount64(w.bits&(bit-1))
	return e.chunks[i/chunkSize][i%chunkSize], true
}

// expires reports whether the entry of r expires at some time.
func (e *expiries) expires(r ref) bool {
	_, ok := e.lookup(r.entryID())
	return ok
}

// isLive reports whether the entry of r has not expired by now.
func (e *expiries) isLive(r ref, now int64) bool {
	ns, ok := e.lookup(r.entryID())
	return !ok || now < ns
}

func (e *expiries) shrink() {
	e.words = shrink(e.words)
	if last := len(e.chunks) - 1; last >= 0 {
		e.chunks[last] = shrink(e.chunks[last])
	}
}

// prefixLengths holds the prefix length of each entry, or notPrefix.
type prefixLengths struct {
	n    int
	runs sparse[uint8] // the entries with another length than the one before
	all  []uint8       // instead of runs, if there were too many of those
}

func newPrefixLengths(all []uint8) prefixLengths {
	const runSize = 5 // bytes
	l := prefixLengths{n: len(all)}
	for id, n := range all {
		if id > 0 && n == all[id-1] {
			continue
		}
		if l.runs.add(int32(id), n); len(l.runs.ids)*runSize > len(all) {
			return prefixLengths{n: len(all), all: shrink(all)}
		}
	}
	l.runs.shrink()
	return l
}

func (l *prefixLengths) lookup(id int32) uint8 {
	if l.all != nil {
		return l.all[id]
	}
	_, n := l.runs.floor(id)
	return n
}

// appendDoubling is append that always doubles the capacity: the slice that it leaves behind is as large as s then. With
// append, those left behind are four times as large together.
func appendDoubling[T any](s []T, v T) []T {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(len(s), 16))
	}
	return append(s, v)
}

// shrink copies s if much of its capacity is unused.
func shrink[T any](s []T) []T {
	if cap(s)-len(s) <= len(s)/16 {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}
