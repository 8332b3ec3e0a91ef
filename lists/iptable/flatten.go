package iptable

import (
	"cmp"
	"container/heap"
	"slices"
)

// ref points from a segment or a name to the entry that decides there.
//
//	0                      no entry
//	bit 31 clear           entry (id+1)<<1 | exception; bit 30 is for segments
//	bit 31 set             the same until that entry expires, and then none
//	bits 31 and 29 set     several entries, of which the time decides: they are in the interval tree
//	                       (addresses), or in the candidates with that number (names)
type ref uint32

const (
	expiring      ref = 1 << 31
	timeDependent ref = expiring | 1<<29
)

// maxID is the largest entry number that fits into a ref.
const maxID = 1<<28 - 2

func entryRef(id int32, exception bool) ref {
	r := ref(id+1) << 1
	if exception {
		r |= 1
	}
	return r
}

func (r ref) entryID() int32  { return int32(r>>1) - 1 }
func (r ref) exception() bool { return r&1 != 0 }

// span is an address entry: from and to are its first and last address.
type span[K key[K]] struct {
	from, to K
	entry    ref
}

func (s span[K]) size() K { return s.to.minus(s.from) }

// before is the precedence within a list: the smaller span; at equal size the exception, else the later line.
func (s span[K]) before(o span[K]) bool {
	if a, b := s.size(), o.size(); a != b {
		return a.less(b)
	}
	if s.entry.exception() != o.entry.exception() {
		return s.entry.exception()
	}
	return s.entry > o.entry
}

// flattener turns overlapping spans into disjoint segments, each with the entry that decides in it. It is a sweep along
// the addresses with two heaps of the spans at the present one: those that never expire, and those that do. If the best
// of all expires, the segment only says so, and the spans go into the interval tree.
type flattener[K key[K]] struct {
	until *expiries
	// timeDependent is called with the spans for the interval tree, one group of overlapping spans after the other.
	// Some may be in a group twice.
	timeDependent func([]span[K])
	// sharesFirsts: two spans have the same first address. Else no two are equal.
	sharesFirsts bool

	together, forTree []span[K]
	lasting, expiring spanHeap[K]
}

// flatten takes all spans from next, in the order of their first addresses. Each call of begin begins a segment, which
// ends where the next one begins.
//
// Most spans overlap no other. Only those that do are collected and swept.
func (f *flattener[K]) flatten(next func() (span[K], bool), begin func(K, ref)) {
	s, more := next()
	for more {
		f.together = append(f.together[:0], s)
		end := s.to
		for s, more = next(); more && !end.less(s.from); s, more = next() {
			f.sharesFirsts = f.sharesFirsts || s.from == f.together[len(f.together)-1].from
			f.together = append(f.together, s)
			if end.less(s.to) {
				end = s.to
			}
		}
		if one := f.together[0]; len(f.together) > 1 {
			f.flattenGroup(f.together, begin)
		} else if f.until.expires(one.entry) {
			begin(one.from, one.entry|expiring)
		} else {
			begin(one.from, one.entry)
		}
		if after, ok := end.increment(); ok && !(more && s.from == after) {
			begin(after, 0)
		}
	}
}

// flattenGroup flattens spans that have no gap between them.
func (f *flattener[K]) flattenGroup(spans []span[K], begin func(K, ref)) {
	f.lasting, f.expiring, f.forTree = f.lasting[:0], f.expiring[:0], f.forTree[:0]
	var last, below ref // the last segment, and the last entry below one that expires
	pos := spans[0].from
	for i := 0; ; {
		for ; i < len(spans) && spans[i].from == pos; i++ {
			if s := spans[i]; f.until.expires(s.entry) {
				f.expiring.insert(s)
				f.forTree = append(f.forTree, s)
			} else {
				f.lasting.insert(s)
			}
		}
		f.lasting.removeBelow(pos)
		f.expiring.removeBelow(pos)
		if len(f.lasting)+len(f.expiring) == 0 {
			break // the group ends here
		}
		var best span[K]
		if len(f.lasting) > 0 {
			best = f.lasting[0]
		}
		r, end := best.entry, best.to
		if len(f.expiring) > 0 && (r == 0 || f.expiring[0].before(best)) {
			if r != 0 && r != below {
				f.forTree, below = append(f.forTree, best), r
			}
			if to := f.expiring[0].to; r == 0 || to.less(end) {
				end = to
			}
			r = timeDependent
		}
		if r != last {
			begin(pos, r)
			last = r
		}
		next, isAddr := end.increment()
		switch {
		case i < len(spans) && (!isAddr || spans[i].from.less(next)):
			next = spans[i].from
		case !isAddr:
			f.timeDependent(f.forTree)
			return
		}
		pos = next
	}
	f.timeDependent(f.forTree)
}

// compareExtents sorts by the first address, wider ones before narrower, and equal ones by number.
func compareExtents[K key[K]](a, b span[K]) int {
	if a.from != b.from {
		return compareKeys(a.from, b.from)
	}
	return cmp.Or(compareKeys(b.to, a.to), cmp.Compare(a.entry, b.entry))
}

func sortSpans[K key[K]](spans []span[K]) {
	if !slices.IsSortedFunc(spans, compareExtents) {
		slices.SortFunc(spans, compareExtents)
	}
}

// spanHeap is a binary heap of spans, the one with precedence on top. It adds and removes by heap.Fix, since heap.Push
// allocates for each span.
type spanHeap[K key[K]] []span[K]

// Len implements heap.Interface, as the methods below do.
func (h *spanHeap[K]) Len() int           { return len(*h) }
func (h *spanHeap[K]) Less(i, j int) bool { return (*h)[i].before((*h)[j]) }
func (h *spanHeap[K]) Swap(i, j int)      { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }
func (h *spanHeap[K]) Push(any)           { panic("use insert") }
func (h *spanHeap[K]) Pop() any           { panic("use removeBelow") }

func (h *spanHeap[K]) insert(s span[K]) {
	*h = append(*h, s)
	heap.Fix(h, len(*h)-1)
}

// removeBelow removes spans that end before pos from the top.
func (h *spanHeap[K]) removeBelow(pos K) {
	for a := *h; len(a) > 0 && a[0].to.less(pos); a = *h {
		a[0] = a[len(a)-1]
		*h = a[:len(a)-1]
		if len(*h) > 0 {
			heap.Fix(h, 0)
		}
	}
}
