package file

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

// flatten gives the entries as segments.
func (e *entries6) flatten(c *chains) (segments6, error) {
	spans := slices.Concat(e.parts...)
	e.parts = nil
	sortSpans(spans)
	var s segments6
	s.grow(2 * len(spans))
	c.steps = 0
	err := (&flattener[key6]{chains: c}).flatten(spans, s.emit)
	s.finish()
	return s, err
}
