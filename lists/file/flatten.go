package file

import (
	"errors"
	"slices"
)

// ref points from a segment or a name to the entry that decides there.
//
//	0                      nothing
//	bit 31 clear           entry (id+1)<<1 | hole; bit 30 is for segments4
//	bit 31 set             the node with that index, for entries that expire
type ref uint32

const chained ref = 1 << 31

// maxID is the largest entry number that a ref can hold.
const maxID = 1<<29 - 2

func entryRef(id int32, hole bool) ref {
	r := ref(id+1) << 1
	if hole {
		r |= 1
	}
	return r
}

func (r ref) id() int32  { return int32(r>>1) - 1 }
func (r ref) hole() bool { return r&1 != 0 }

// node is an entry that expires, and what counts from then on.
type node struct {
	entry ref
	until int64 // Unix nanoseconds
	next  ref
}

// chains builds nodes; equal ones are shared, so that nested entries cost one
// node each however many segments they are cut into.
type chains struct {
	nodes []node
	seen  map[node]ref
	until *sparse[int64] // of the entries that expire

	steps, maxSteps int // of one way through all spans
}

// newChains bounds the work for n entries of which many expire: it is quadratic
// in how many of those overlap, and no list that a person writes comes near.
func newChains(n int, until *sparse[int64]) *chains {
	return &chains{until: until, maxSteps: 64*n + 1<<20}
}

// add gives the ref for entries in order of precedence, of which only the last
// may be permanent. One that ends no later than one before it never counts.
func (c *chains) add(entries []ref) ref {
	var live []node
	var r ref // what counts when all of live have ended
	for _, e := range entries {
		until, expires := c.until.get(e.id())
		if !expires {
			r = e
			break
		}
		if len(live) == 0 || until > live[len(live)-1].until {
			live = append(live, node{entry: e, until: until})
		}
	}
	for _, n := range slices.Backward(live) {
		n.next = r
		at, ok := c.seen[n]
		if !ok {
			if c.seen == nil {
				c.seen = make(map[node]ref)
			}
			at = chained | ref(len(c.nodes))
			c.seen[n] = at
			c.nodes = append(c.nodes, n)
		}
		r = at
	}
	return r
}

func (c *chains) expires(r ref) bool {
	_, yes := c.until.get(r.id())
	return yes
}

// span is an address entry: from and to are both in it.
type span[K key[K]] struct {
	from, to K
	entry    ref
}

// before is the precedence within a list: the smaller span, at equal span the
// hole, else the later line.
func (s span[K]) before(o span[K]) bool {
	if a, b := s.to.minus(s.from), o.to.minus(o.from); a != b {
		return a.less(b)
	}
	if s.entry.hole() != o.entry.hole() {
		return s.entry.hole()
	}
	return s.entry > o.entry
}

var errTooTangled = errors.New("too many overlapping entries with until=")

// flattener turns overlapping spans into disjoint segments, each with the entry
// that decides in it. The precedence of entries is worked out here, once, so
// that a lookup need not know of it.
//
// It walks along the addresses with the spans that cover the present one in a
// heap. Where the best of them expires, those that follow it, up to the first
// that does not, are noted too.
type flattener[K key[K]] struct {
	*chains
	open    heap[K]
	members []span[K]
	refs    []ref
}

// flatten takes spans in the order of their first addresses. Each call of emit
// begins a segment, which ends where the next begins.
func (f *flattener[K]) flatten(spans []span[K], emit func(K, ref)) error {
	var (
		pos  K
		last ref
	)
	open := &f.open
	begin := func(at K, r ref) {
		if r != last {
			emit(at, r)
			last = r
		}
	}
	for i := 0; i < len(spans) || len(*open) > 0; {
		if len(*open) == 0 {
			pos = spans[i].from
		}
		for ; i < len(spans) && spans[i].from == pos; i++ {
			open.push(spans[i])
		}
		f.members, f.refs = f.members[:0], f.refs[:0]
		for len(*open) > 0 {
			s := open.pop()
			if s.to.less(pos) {
				continue // ended below a better one
			}
			f.members, f.refs = append(f.members, s), append(f.refs, s.entry)
			if !f.expires(s.entry) {
				break
			}
			if f.steps++; f.steps > f.maxSteps {
				return errTooTangled
			}
		}
		begin(pos, f.add(f.refs))
		if len(f.members) == 0 {
			continue
		}
		end := f.members[0].to
		for _, m := range f.members {
			if m.to.less(end) {
				end = m.to
			}
			open.push(m)
		}
		next, isAddr := end.next()
		if i < len(spans) && (!isAddr || spans[i].from.less(next)) {
			next = spans[i].from
		} else if !isAddr {
			break
		}
		if pos = next; i == len(spans) || pos.less(spans[i].from) {
			// Nothing may cover pos; then the next round emits that.
			open.drop(pos)
			if len(*open) == 0 {
				begin(pos, 0)
			}
		}
	}
	return nil
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
