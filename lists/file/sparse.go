package file

import "slices"

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

func (s *sparse[V]) get(id int32) (v V, ok bool) {
	if len(s.ids) == 0 {
		return v, false
	}
	i, ok := slices.BinarySearch(s.ids, id)
	if ok {
		v = s.values[i]
	}
	return v, ok
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

// texts holds a text for some of the entries.
type texts struct {
	ends sparse[uint32] // in all
	all  []byte
}

// maxTexts is how many bytes ends can tell apart.
const maxTexts = 1<<32 - 1

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
