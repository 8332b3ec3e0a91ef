package listfile

import "slices"

// ref points from a segment or a name to the entry that decides there.
//
//	0                      nothing
//	bit 31 clear           entry (id+1)<<1 | hole; bit 30 is for segments4
//	bit 31 set             the same, until the entry ends: no other is there
//	bits 31 and 29 set     it depends on the time which of several does: they are
//	                       in overlaps, for addresses, or in that stair, for names
type ref uint32

const (
	passing ref = 1 << 31
	several ref = passing | 1<<29
)

// maxID is the largest entry number that a ref can hold.
const maxID = 1<<28 - 2

func entryRef(id int32, hole bool) ref {
	r := ref(id+1) << 1
	if hole {
		r |= 1
	}
	return r
}

func (r ref) id() int32  { return int32(r>>1) - 1 }
func (r ref) hole() bool { return r&1 != 0 }

// span is an address entry: from and to are both in it.
type span[K key[K]] struct {
	from, to K
	entry    ref
}

func (s span[K]) size() K { return s.to.minus(s.from) }

// before is the precedence within a list: the smaller span, at equal span the
// hole, else the later line.
func (s span[K]) before(o span[K]) bool {
	if a, b := s.size(), o.size(); a != b {
		return a.less(b)
	}
	if s.entry.hole() != o.entry.hole() {
		return s.entry.hole()
	}
	return s.entry > o.entry
}

// flattener turns overlapping spans into disjoint segments, each with the entry
// that decides in it. The precedence of entries is worked out here, once, so
// that a lookup need not know of it.
//
// It walks along the addresses with the spans that cover the present one in two
// heaps, one of those that do not expire and one of those that do. Where the best of
// all expires, the segment says so, and what there may be is left to overlaps.
type flattener[K key[K]] struct {
	until *expiries
	// over is called with spans that belong there: those of each group of spans that
	// overlap, in order. Some may be there twice.
	over func([]span[K])

	together    []span[K]
	open, ends  heap[K] // that do not expire, and that do
	overlapping []span[K]
}

// flatten takes all spans from next, in the order of their first addresses. Each
// call of emit begins a segment, which ends where the next begins.
//
// Most spans stand alone: no other is about any of the same addresses. Those
// that do not are put together, and only they have to be flattened.
func (f *flattener[K]) flatten(next func() (span[K], bool), emit func(K, ref)) {
	s, more := next()
	for more {
		f.together = append(f.together[:0], s)
		end := s.to
		for s, more = next(); more && !end.less(s.from); s, more = next() {
			f.together = append(f.together, s)
			if end.less(s.to) {
				end = s.to
			}
		}
		if one := f.together[0]; len(f.together) > 1 {
			f.group(f.together, emit)
		} else if f.until.has(one.entry) {
			emit(one.from, one.entry|passing)
		} else {
			emit(one.from, one.entry)
		}
		if behind, ok := end.next(); ok && !(more && s.from == behind) {
			emit(behind, 0)
		}
	}
}

// group flattens spans without a gap between them.
func (f *flattener[K]) group(spans []span[K], emit func(K, ref)) {
	f.open, f.ends, f.overlapping = f.open[:0], f.ends[:0], f.overlapping[:0]
	var last, below ref // the last segment, and the last entry below one that expires
	pos := spans[0].from
	for i := 0; ; {
		for ; i < len(spans) && spans[i].from == pos; i++ {
			if s := spans[i]; f.until.has(s.entry) {
				f.ends.push(s)
				f.overlapping = append(f.overlapping, s)
			} else {
				f.open.push(s)
			}
		}
		f.open.drop(pos)
		f.ends.drop(pos)
		if len(f.open)+len(f.ends) == 0 {
			break // nothing is behind the group
		}
		var best span[K]
		if len(f.open) > 0 {
			best = f.open[0]
		}
		r, end := best.entry, best.to
		if len(f.ends) > 0 && (r == 0 || f.ends[0].before(best)) {
			if r != 0 && r != below {
				f.overlapping, below = append(f.overlapping, best), r
			}
			if to := f.ends[0].to; r == 0 || to.less(end) {
				end = to
			}
			r = several
		}
		if r != last {
			emit(pos, r)
			last = r
		}
		next, isAddr := end.next()
		switch {
		case i < len(spans) && (!isAddr || spans[i].from.less(next)):
			next = spans[i].from
		case !isAddr:
			f.over(f.overlapping)
			return
		}
		pos = next
	}
	f.over(f.overlapping)
}

// sortSpans puts spans into the order that flatten wants.
func sortSpans[K key[K]](spans []span[K]) {
	byStart := func(a, b span[K]) int {
		switch {
		case a.from.less(b.from):
			return -1
		case b.from.less(a.from):
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(spans, byStart) {
		slices.SortFunc(spans, byStart)
	}
}

// heap is a binary heap of spans, the one with precedence on top.
type heap[K key[K]] []span[K]

func (h *heap[K]) push(s span[K]) {
	*h = append(*h, s)
	a := *h
	for i := len(a) - 1; i > 0; {
		up := (i - 1) / 2
		if !a[i].before(a[up]) {
			break
		}
		a[i], a[up] = a[up], a[i]
		i = up
	}
}

func (h *heap[K]) pop() span[K] {
	a := *h
	top, last := a[0], len(a)-1
	a[0] = a[last]
	a = a[:last]
	for i := 0; ; {
		best := i
		for down := 2*i + 1; down <= 2*i+2 && down < last; down++ {
			if a[down].before(a[best]) {
				best = down
			}
		}
		if best == i {
			break
		}
		a[i], a[best] = a[best], a[i]
		i = best
	}
	*h = a
	return top
}

// drop takes spans that end below pos off the top.
func (h *heap[K]) drop(pos K) {
	for len(*h) > 0 && (*h)[0].to.less(pos) {
		h.pop()
	}
}
