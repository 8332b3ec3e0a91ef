package listfile

import "slices"

// entries6 are the IPv6 entries of a table that is being made. They are kept in
// parts, since how many there will be is not known, and what a growing slice
// leaves behind would be as large as the table.
type entries6 struct{ parts [][]span[key6] }

func (e *entries6) add(s span[key6]) {
	const size = 1 << 12
	if n := len(e.parts); n == 0 || len(e.parts[n-1]) == cap(e.parts[n-1]) {
		e.parts = append(e.parts, make([]span[key6], 0, size))
	}
	last := &e.parts[len(e.parts)-1]
	*last = append(*last, s)
}

// flatten returns the entries as segments, and those of which the time decides.
func (e *entries6) flatten(until *expiries) (s segments6, over overlaps[key6]) {
	spans := slices.Concat(e.parts...)
	e.parts = nil
	sortSpans(spans)
	s.grow(2 * len(spans))
	f := flattener[key6]{until: until, over: func(s []span[key6]) { over.add(s, until) }}
	f.flatten(func() (one span[key6], more bool) {
		if more = len(spans) > 0; more {
			one, spans = spans[0], spans[1:]
		}
		return one, more
	}, s.emit)
	s.finish()
	over.finish()
	return s, over
}
