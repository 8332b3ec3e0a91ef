package listfile

import (
	"math/bits"
	"slices"
)

// sparse holds a value for some of the entries: their ids in order, which is
// that in which entries are read, so that nothing has to be sorted and
// nothing is there for the garbage collector to follow.
type sparse[V any] struct {
	ids    []int32
	values []V
}

func (s *sparse[V]) add(id int32, v V) {
	s.ids, s.values = push(s.ids, id), push(s.values, v)
}

// before gives the value of the last id that is not above id; there is one.
func (s *sparse[V]) before(id int32) V {
	i, ok := slices.BinarySearch(s.ids, id)
	if !ok {
		i--
	}
	return s.values[i]
}

// clip gives back what appending took too much.
func (s *sparse[V]) clip() { s.ids, s.values = trim(s.ids), trim(s.values) }

// expiries holds when entries end, in Unix nanoseconds, for those that do: a bit for
// each entry, so that little is needed where all of them end or none does, and it is
// found in one step.
type expiries struct {
	words []expiryWord
	// parts have the times in order, expiryPart of them each: what a growing slice
	// leaves behind would be as large as the table.
	parts [][]int64
	n     int
}

// expiryWord is about 64 entries.
type expiryWord struct {
	bits   uint64
	before uint32 // how many of the entries before these end
}

const expiryPart = 1 << 12

// add is called in the order of ids.
func (e *expiries) add(id int32, ns int64) {
	for int(id>>6) >= len(e.words) {
		e.words = push(e.words, expiryWord{before: uint32(e.n)})
	}
	e.words[id>>6].bits |= 1 << (id & 63)
	if e.n%expiryPart == 0 {
		e.parts = append(e.parts, make([]int64, 0, expiryPart))
	}
	last := &e.parts[len(e.parts)-1]
	*last = append(*last, ns)
	e.n++
}

func (e *expiries) get(id int32) (ns int64, ok bool) {
	if int(id>>6) >= len(e.words) {
		return 0, false
	}
	w := e.words[id>>6]
	bit := uint64(1) << (id & 63)
	if w.bits&bit == 0 {
		return 0, false
	}
	i := int(w.before) + bits.OnesCount64(w.bits&(bit-1))
	return e.parts[i/expiryPart][i%expiryPart], true
}

// has reports whether the entry of r ends at some time.
func (e *expiries) has(r ref) bool {
	_, ok := e.get(r.id())
	return ok
}

// live reports whether the entry of r has not ended by now.
func (e *expiries) live(r ref, now int64) bool {
	ns, ok := e.get(r.id())
	return !ok || now < ns
}

func (e *expiries) clip() {
	e.words = trim(e.words)
	if last := len(e.parts) - 1; last >= 0 {
		e.parts[last] = trim(e.parts[last])
	}
}

// texts holds a text for some of the entries.
type texts struct {
	ends sparse[uint32] // in all
	all  []byte
}

// maxTexts is how many bytes ends can tell apart; tests lower it.
var maxTexts = 1<<32 - 1

// add is false if there is no room.
func (t *texts) add(id int32, text []byte) bool {
	if len(t.all)+len(text) > maxTexts {
		return false
	}
	if cap(t.all)-len(t.all) < len(text) {
		t.all = slices.Grow(t.all, max(len(t.all), len(text)))
	}
	t.all = append(t.all, text...)
	t.ends.add(id, uint32(len(t.all)))
	return true
}

func (t *texts) get(id int32) string {
	i, ok := slices.BinarySearch(t.ends.ids, id)
	if !ok {
		return ""
	}
	from := uint32(0)
	if i > 0 {
		from = t.ends.values[i-1]
	}
	return string(t.all[from:t.ends.values[i]])
}

func (t *texts) clip() {
	t.ends.clip()
	t.all = trim(t.all)
}

// push appends and, unlike append, always doubles what there is no more room
// in: what is left behind is as large as s then, and not four times that.
func push[T any](s []T, v T) []T {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(len(s), 16))
	}
	return append(s, v)
}

// trim copies s if much of its capacity is not used.
func trim[T any](s []T) []T {
	if cap(s)-len(s) <= len(s)/16 {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}

// lengths holds the length of the prefix that each entry is, or inTexts.
type lengths struct {
	n    int
	runs sparse[uint8] // where another begins than that of the entry before
	all  []uint8       // instead, if there are too many of those
}

func newLengths(all []uint8) lengths {
	changes := 0
	for id, n := range all {
		if id == 0 || n != all[id-1] {
			changes++
		}
	}
	const runSize = 5 // bytes
	l := lengths{n: len(all)}
	if changes*runSize > len(all) {
		l.all = trim(all)
		return l
	}
	for id, n := range all {
		if id == 0 || n != all[id-1] {
			l.runs.add(int32(id), n)
		}
	}
	l.runs.clip()
	return l
}

func (l *lengths) get(id int32) uint8 {
	if l.all != nil {
		return l.all[id]
	}
	return l.runs.before(id)
}
