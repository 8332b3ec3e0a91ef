package iptable

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
)

// candidates are groups of entries with the same span or name, each in order of precedence: the first one of a group
// that has not expired decides. An entry that expires no later than one before it never decides and is not kept, nor
// are those after an entry that never expires. So the expiries of a group are in ascending order.
type candidates struct {
	first   []uint32 // where each group begins
	entries []ref
}

// add adds a group of entries, which are in order of precedence.
func (s *candidates) add(entries []ref, until *expiries) {
	s.first = append(s.first, uint32(len(s.entries)))
	for e := range mayDecide(entries, until) {
		s.entries = append(s.entries, e)
	}
}

// lookup returns the entry of a group that decides now, or 0.
func (s *candidates) lookup(group int, until *expiries, now int64) ref {
	entries := s.entries[s.first[group]:]
	if group+1 < len(s.first) {
		entries = entries[:s.first[group+1]-s.first[group]]
	}
	i := sort.Search(len(entries), func(i int) bool { return until.isLive(entries[i], now) })
	if i == len(entries) {
		return 0
	}
	return entries[i]
}

func (s *candidates) shrink() { s.first, s.entries = shrink(s.first), shrink(s.entries) }

// mayDecide returns those of entries, which are in order of precedence, that decide at some time.
func mayDecide(entries []ref, until *expiries) func(yield func(ref) bool) {
	return func(yield func(ref) bool) {
		var last int64
		for i, e := range entries {
			ends, expires := until.lookup(e.entryID())
			if expires && i > 0 && ends <= last {
				continue
			}
			if last = ends; !yield(e) || !expires {
				return
			}
		}
	}
}

// intervalTree holds the spans of which the time decides: those of entries that expire, and of entries below them that
// do not. It is searched at each lookup, since a table of what decides for each address at each time could be as large
// as the square of the list.
//
// It is an augmented interval tree without pointers: the intervals are sorted by their first address, each span once;
// the middle one is the root, and those before and after it are the two branches.
type intervalTree[K key[K]] struct {
	intervals  []interval[K]
	candidates candidates // a group for each interval
}

// interval is a span; maxEnd is the last address of all spans in its branch.
type interval[K key[K]] struct{ from, to, maxEnd K }

// add adds the spans of entries, in no order and possibly repeated. All of them are after those that were added before.
func (o *intervalTree[K]) add(spans []span[K], until *expiries) {
	forEachSpan(spans, func(s span[K], entries []ref) {
		o.intervals = append(o.intervals, interval[K]{from: s.from, to: s.to})
		o.candidates.add(entries, until)
	})
}

// countIntervals adds to the counters what add would add.
func countIntervals[K key[K]](spans []span[K], until *expiries, intervals, entries *int) {
	forEachSpan(spans, func(_ span[K], all []ref) {
		*intervals++
		for range mayDecide(all, until) {
			*entries++
		}
	})
}

// forEachSpan sorts spans, and calls f for each different one, with its entries in order of precedence.
func forEachSpan[K key[K]](spans []span[K], f func(span[K], []ref)) {
	slices.SortFunc(spans, func(a, b span[K]) int {
		return cmp.Or(compareKeys(a.from, b.from), compareKeys(a.to, b.to), comparePrecedence(a, b))
	})
	var entries []ref
	for i, s := range spans {
		if entries = append(entries, s.entry); i+1 == len(spans) || spans[i+1].from != s.from || spans[i+1].to != s.to {
			f(s, entries)
			entries = entries[:0]
		}
	}
}

func comparePrecedence[K key[K]](a, b span[K]) int {
	switch {
	case a.before(b):
		return -1
	case a.entry == b.entry:
		return 0
	}
	return 1
}

func (o *intervalTree[K]) finish() {
	o.intervals = shrink(o.intervals)
	o.candidates.shrink()
	o.setMaxEnds(0, len(o.intervals))
}

// setMaxEnds sets maxEnd in a branch, and returns that of its root.
func (o *intervalTree[K]) setMaxEnds(lo, hi int) (maxEnd K) {
	if lo == hi {
		return maxEnd
	}
	mid := int(uint(lo+hi) >> 1)
	l := &o.intervals[mid]
	l.maxEnd = l.to
	for _, m := range [2]K{o.setMaxEnds(lo, mid), o.setMaxEnds(mid+1, hi)} {
		if l.maxEnd.less(m) {
			l.maxEnd = m
		}
	}
	return l.maxEnd
}

// lookup returns the entry that decides about an address now, or 0.
func (o *intervalTree[K]) lookup(k K, until *expiries, now int64) ref {
	f := finder[K]{intervalTree: o, until: until, now: now, k: k}
	f.search(0, len(o.intervals))
	return f.best.entry
}

// finder searches for the entry that decides about k.
type finder[K key[K]] struct {
	*intervalTree[K]
	until *expiries
	now   int64
	k     K
	best  span[K] // so far; entry 0: none
}

// search searches a branch from its end: at equal spans the later line decides, and many lists are sorted.
func (f *finder[K]) search(lo, hi int) {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		l := &f.intervals[mid]
		if l.maxEnd.less(f.k) {
			return
		}
		if !f.k.less(l.from) {
			f.search(mid+1, hi)
			if !l.to.less(f.k) {
				f.consider(mid)
			}
		}
		hi = mid
	}
}

// consider looks at the entries of an interval if the first of them would be better than the best so far. The others
// come after it.
func (f *finder[K]) consider(i int) {
	l := &f.intervals[i]
	s := span[K]{l.from, l.to, f.candidates.entries[f.candidates.first[i]]}
	if f.best.entry != 0 && !s.before(f.best) {
		return
	}
	if s.entry = f.candidates.lookup(i, f.until, f.now); s.entry != 0 && (f.best.entry == 0 || s.before(f.best)) {
		f.best = s
	}
}

// boundaries returns the addresses at which the answer may change, unsorted.
func (o *intervalTree[K]) boundaries() (all []netip.Addr) {
	for _, l := range o.intervals {
		all = append(all, l.from.toAddr())
		if next, ok := l.to.increment(); ok {
			all = append(all, next.toAddr())
		}
	}
	return all
}
