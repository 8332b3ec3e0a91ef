package listfile

import (
	"slices"
	"sort"
)

// stairs are entries about the same span or name of which the first that has not
// ended counts. An entry that ends no later than one before it never does, and is
// not kept, nor is what stands behind one that does not end; so the ends rise.
type stairs struct {
	first   []uint32 // of each stair, where its entries begin
	entries []ref
}

// add adds a stair of entries in order of precedence.
func (s *stairs) add(entries []ref, until *expiries) {
	s.first = append(s.first, uint32(len(s.entries)))
	for e := range rising(entries, until) {
		s.entries = append(s.entries, e)
	}
}

// at returns the entry of a stair that counts now, or 0.
func (s *stairs) at(stair int, until *expiries, now int64) ref {
	entries := s.entries[s.first[stair]:]
	if stair+1 < len(s.first) {
		entries = entries[:s.first[stair+1]-s.first[stair]]
	}
	i := sort.Search(len(entries), func(i int) bool { return until.live(entries[i], now) })
	if i == len(entries) {
		return 0
	}
	return entries[i]
}

func (s *stairs) clip() { s.first, s.entries = trim(s.first), trim(s.entries) }

// rising calls yield for those of entries, in order of precedence, that may count
// at some time.
func rising(entries []ref, until *expiries) func(yield func(ref) bool) {
	return func(yield func(ref) bool) {
		var last int64
		for i, e := range entries {
			ends, expires := until.get(e.id())
			if expires && i > 0 && ends <= last {
				continue
			}
			if last = ends; !yield(e) || !expires {
				return
			}
		}
	}
}

// overlaps are spans of which it depends on the time which of them decides: those
// of entries that expire, and of entries below them that do not. They are looked
// through when the question comes, since what counts for each address at each time
// could be as much as all entries times all entries.
//
// The spans are in the order of their first addresses, each different one once, and
// are a tree: the middle one is its root, those before and behind it are the two
// branches. most is the last address that a branch reaches. So those that are about
// an address are found in about as many steps as there are.
type overlaps[K key[K]] struct {
	laps   []lap[K]
	stairs stairs // one for each lap
}

type lap[K key[K]] struct{ from, to, most K }

// add adds the spans of entries. They lie behind those that were added before, are
// in no order, and may be there twice.
func (o *overlaps[K]) add(spans []span[K], until *expiries) {
	each(spans, func(s span[K], entries []ref) {
		o.laps = append(o.laps, lap[K]{from: s.from, to: s.to})
		o.stairs.add(entries, until)
	})
}

// count adds to what add would add.
func count[K key[K]](spans []span[K], until *expiries, laps, entries *int) {
	each(spans, func(_ span[K], all []ref) {
		*laps++
		for range rising(all, until) {
			*entries++
		}
	})
}

// each sorts spans, and calls f for each different one, with its entries in order of
// precedence.
func each[K key[K]](spans []span[K], f func(span[K], []ref)) {
	slices.SortFunc(spans, func(a, b span[K]) int {
		switch {
		case a.from != b.from:
			return order(a.from.less(b.from))
		case a.to != b.to:
			return order(a.to.less(b.to))
		case a.entry == b.entry:
			return 0
		}
		return order(a.before(b))
	})
	var entries []ref
	for i, s := range spans {
		if entries = append(entries, s.entry); i+1 == len(spans) || spans[i+1].from != s.from || spans[i+1].to != s.to {
			f(s, entries)
			entries = entries[:0]
		}
	}
}

func order(less bool) int {
	if less {
		return -1
	}
	return 1
}

// finish is to be called when all were added.
func (o *overlaps[K]) finish() {
	o.laps = trim(o.laps)
	o.stairs.clip()
	o.reach(0, len(o.laps))
}

// reach sets most in a branch, and returns that of its root.
func (o *overlaps[K]) reach(lo, hi int) (most K) {
	if lo == hi {
		return most
	}
	mid := int(uint(lo+hi) >> 1)
	l := &o.laps[mid]
	l.most = l.to
	for _, m := range [2]K{o.reach(lo, mid), o.reach(mid+1, hi)} {
		if l.most.less(m) {
			l.most = m
		}
	}
	return l.most
}

// at returns the entry that decides about an address now, or 0.
func (o *overlaps[K]) at(k K, until *expiries, now int64) ref {
	f := finder[K]{overlaps: o, until: until, now: now, k: k}
	f.find(0, len(o.laps))
	return f.best.entry
}

// finder looks for the entry that decides about k.
type finder[K key[K]] struct {
	*overlaps[K]
	until *expiries
	now   int64
	k     K
	best  span[K] // so far; its entry is 0: none
}

// find looks through a branch, from its end, since of equal spans the later line
// counts and many lists are in order.
func (f *finder[K]) find(lo, hi int) {
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		l := &f.laps[mid]
		if l.most.less(f.k) {
			return
		}
		if !f.k.less(l.from) {
			f.find(mid+1, hi)
			if !l.to.less(f.k) {
				f.take(mid)
			}
		}
		hi = mid
	}
}

// take looks at the entries of a lap if the first of them would be better than the
// best so far; the others come after it.
func (f *finder[K]) take(lap int) {
	l := &f.laps[lap]
	s := span[K]{l.from, l.to, f.stairs.entries[f.stairs.first[lap]]}
	if f.best.entry != 0 && !s.before(f.best) {
		return
	}
	if s.entry = f.stairs.at(lap, f.until, f.now); s.entry != 0 && (f.best.entry == 0 || s.before(f.best)) {
		f.best = s
	}
}

// bounds returns the addresses at which the answer may change, in no order.
func (o *overlaps[K]) bounds() (all []K) {
	for _, l := range o.laps {
		all = append(all, l.from)
		if next, ok := l.to.next(); ok {
			all = append(all, next)
		}
	}
	return all
}
