package iptable

import "slices"

// entries4 collects the IPv4 entries of a table. A prefix, as nearly all entries are, takes one word:
//
//	63       32     31      30   0
//	   from      isPrefix    ref       isPrefix is 0 for a single address
type entries4 struct {
	words    []uint64
	prefixes int // of the words, those that are not single addresses
	ranges   []span[key4]

	sharesFirsts bool // see flattener
}

// isPrefix is a bit that is free in the ref of an entry.
const isPrefix = uint64(expiring)

func (e *entries4) addPrefix(from key4, bits int, r ref) {
	w := uint64(from)<<32 | uint64(r)
	if bits < 32 {
		w |= isPrefix
		e.prefixes++
	}
	e.words = append(e.words, w)
}

// flatten returns the entries as segments, and as a tree those whose effect depends on the time. bits has the length
// of each prefix.
func (e *entries4) flatten(bits []uint8, until *expiries) (segments4, intervalTree[key4]) {
	sortWords(e.words)
	sortSpans(e.ranges)
	marks, intervals, entries := len(e.words), 0, 0
	f := flattener[key4]{until: until}
	if e.prefixes+len(e.ranges)+until.n > 0 { // a dry run is the only way to know how many there will be
		f.timeDependent = func(s []span[key4]) { countIntervals(s, until, &intervals, &entries) }
		counter := builder4{dryRun: true}
		f.flatten(e.inOrder(bits), counter.beginSegment)
		counter.endLast()
		marks = counter.count
	}
	b := builder4{marks: make([]uint16, 0, 3*marks)}
	tree := intervalTree[key4]{make([]interval[key4], 0, intervals), candidates{make([]uint32, 0, intervals), make([]ref, 0, entries)}}
	f.timeDependent = func(s []span[key4]) { tree.add(s, until) }
	f.flatten(e.inOrder(bits), b.beginSegment)
	b.endLast()
	tree.finish()
	e.sharesFirsts = f.sharesFirsts
	return b.finish(), tree
}

// inOrder returns an iterator over all entries in the order of their first addresses, and of ranges and prefixes with the same one
// wider ones first.
func (e *entries4) inOrder(bits []uint8) func() (span[key4], bool) {
	words, ranges := e.words, e.ranges
	return func() (s span[key4], more bool) {
		if len(words) > 0 {
			w := words[0]
			from, r := key4(w>>32), ref(w&^isPrefix)
			to := from
			if w&isPrefix != 0 {
				to |= key4(uint64(1)<<(32-bits[r.entryID()]) - 1)
			}
			if s = (span[key4]{from, to, r}); len(ranges) == 0 || compareExtents(s, ranges[0]) < 0 {
				words = words[1:]
				return s, true
			}
		}
		if len(ranges) > 0 {
			s, ranges = ranges[0], ranges[1:]
			return s, true
		}
		return s, false
	}
}

// sortWords sorts by the upper half of the words. Lists are long and often unsorted. A radix sort by the first eight
// bits works in place; the rest is sorted in parts that fit into the processor's cache and need little extra memory.
func sortWords(a []uint64) {
	if slices.IsSorted(a) {
		return
	}
	var next, end [256]int
	for _, w := range a {
		end[w>>56]++
	}
	sum, largest := 0, 0
	for b, n := range end {
		next[b], end[b] = sum, sum+n
		sum, largest = sum+n, max(largest, n)
	}
	spare := make([]uint64, largest)
	from := 0
	for b := range next {
		for next[b] < end[b] {
			w := a[next[b]]
			if home := w >> 56; int(home) != b {
				a[next[b]], a[next[home]] = a[next[home]], w
				next[home]++
			} else {
				next[b]++
			}
		}
		sortPart(a[from:end[b]], spare)
		from = end[b]
	}
}

// sortPart sorts by the 24 bits after the first eight, 12 at a time.
func sortPart(a, spare []uint64) {
	if len(a) < 256 {
		slices.Sort(a)
		return
	}
	var counts [2][1 << 12]uint32
	for _, w := range a {
		counts[0][w>>32&0xfff]++
		counts[1][w>>44&0xfff]++
	}
	b := spare[:len(a)]
	for p := range counts {
		sum := uint32(0)
		for i, n := range counts[p] {
			counts[p][i] = sum
			sum += n
		}
		for _, w := range a {
			at := &counts[p][w>>(32+12*p)&0xfff]
			b[*at] = w
			*at++
		}
		a, b = b, a
	}
}
