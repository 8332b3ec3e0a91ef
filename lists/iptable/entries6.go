package iptable

import "slices"

// entries6 collects the IPv6 entries of a table. They are kept in chunks: their number is not known, and the memory
// that a growing slice leaves behind would be as large as the table.
type entries6 struct{ chunks [][]span[key6] }

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

func (e *entries6) add(s span[key6]) { e.chunks = appendChunked(e.chunks, s) }

// flatten returns the entries as segments, and as a tree those whose effect depends on the time.
func (e *entries6) flatten(until *expiries) (s segments6, tree intervalTree[key6]) {
	spans := slices.Concat(e.chunks...)
	e.chunks = nil
	sortSpans(spans)
	s.reserve(2 * len(spans))
	f := flattener[key6]{until: until, timeDependent: func(s []span[key6]) { tree.add(s, until) }}
	f.flatten(func() (one span[key6], more bool) {
		if more = len(spans) > 0; more {
			one, spans = spans[0], spans[1:]
		}
		return one, more
	}, s.beginSegment)
	s.finish()
	tree.finish()
	return s, tree
}
