package file

import "slices"

// entries4 are the IPv4 entries of a table that is being made. Those that are
// prefixes, nearly all, take a word each:
//
//	63       32     31     30   0
//	   from      a prefix  ref      (no prefix: a single address)
type entries4 struct {
	words  []uint64
	ranges []span[key4]
}

// notSingle is a bit that is free in the ref of an entry.
const notSingle = uint64(chained)

func (e *entries4) addPrefix(from key4, bits int, r ref) {
	w := uint64(from)<<32 | uint64(r)
	if bits < 32 {
		w |= notSingle
	}
	e.words = append(e.words, w)
}

// flatten gives the entries to a builder as segments. bits has the length of
// each prefix.
//
// Most entries stand alone: no other is about any of the same addresses. Those
// that do not are put together, and only they have to be flattened.
func (e *entries4) flatten(bits []uint8, c *chains) (segments4, error) {
	words := sortWords(e.words)
	sortSpans(e.ranges)
	b := newBuilder4(len(words) + len(e.ranges))
	next := e.inOrder(words, bits)
	var together []span[key4]
	s, more := next()
	for more {
		together = append(together[:0], s)
		end := s.to
		for s, more = next(); more && s.from <= end; s, more = next() {
			together, end = append(together, s), max(end, s.to)
		}
		if one := together[0]; len(together) == 1 && !c.expires(one.entry) {
			b.segment(one.from, one.to, one.entry)
			continue
		}
		if err := flatten(together, c, b.emit); err != nil {
			return segments4{}, err
		}
		if end < ^key4(0) {
			b.emit(end+1, 0)
		}
	}
	return b.finish(), nil
}

// inOrder gives all entries in the order of their first addresses.
func (e *entries4) inOrder(words []uint64, bits []uint8) func() (span[key4], bool) {
	ranges := e.ranges
	return func() (s span[key4], more bool) {
		if len(words) > 0 && (len(ranges) == 0 || key4(words[0]>>32) <= ranges[0].from) {
			w := words[0]
			words = words[1:]
			from, r := key4(w>>32), ref(w&^notSingle)
			to := from
			if w&notSingle != 0 {
				to |= key4(uint64(1)<<(32-bits[r.id()]) - 1)
			}
			return span[key4]{from, to, r}, true
		}
		if len(ranges) > 0 {
			s, ranges = ranges[0], ranges[1:]
			return s, true
		}
		return s, false
	}
}

// sortWords sorts by the upper half of the words. Lists are long, and often in
// no order: it sorts by 11 bits at a time.
func sortWords(a []uint64) []uint64 {
	if slices.IsSorted(a) {
		return a
	}
	const passes, digit = 3, 1<<11 - 1
	var counts [passes][digit + 1]uint32
	for _, w := range a {
		for p := range passes {
			counts[p][w>>(32+11*p)&digit]++
		}
	}
	b := make([]uint64, len(a))
	for p := range passes {
		sum := uint32(0)
		for i, n := range counts[p] {
			counts[p][i] = sum
			sum += n
		}
		for _, w := range a {
			at := &counts[p][w>>(32+11*p)&digit]
			b[*at] = w
			*at++
		}
		a, b = b, a
	}
	return a
}
