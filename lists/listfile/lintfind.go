package listfile

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

// spans is an iterator over entries that have not expired. After the last one it returns false.
type spans func() (iptable.Span, bool)

// live returns an iterator over those of entries that have not expired.
func (c *checked) live(entries spans) spans {
	return func() (s iptable.Span, ok bool) {
		for s, ok = entries(); ok && c.expiry(s) <= c.now.UnixNano(); s, ok = entries() {
		}
		return s, ok
	}
}

// expiry returns when an entry expires, in Unix nanoseconds.
func (c *checked) expiry(s iptable.Span) int64 {
	if ns, ok := c.table.Expiry(s.ID); ok {
		return ns
	}
	return math.MaxInt64
}

// findRepeated finds entries about the same clients in one list. Equal entries are together.
func (c *checked) findRepeated(entries spans, found *findings) {
	next := c.live(entries)
	first, ok := next()
	for it := first; ok; {
		if it, ok = next(); !ok || !it.IsEqual(first) {
			first = it
			continue
		}
		contradicts := it.Exception != first.Exception
		if contradicts && c.expiry(it) != c.expiry(first) {
			continue // an exception for some time
		}
		of := first
		found.add(it.ID, func() (msg, hint string) {
			if contradicts {
				return fmt.Sprintf("%s contradicts %s (%s): the exception wins", c.text(it), c.text(of), c.place(of)), "keep one of them"
			}
			return fmt.Sprintf("duplicate entry %s, first in %s", c.text(it), c.place(of)), "remove one of the lines"
		})
	}
}

// findBefore finds entries of list c that an entry of a list before it contains: equal ones, and address entries that
// never decide, since no exception of that list overlaps them. It adds them to known.
func (c *checked) findBefore(before *checked, known marks, found *findings) {
	report := func(it, by iptable.Span) {
		if known.has(it.ID) {
			return
		}
		known.set(it.ID)
		found.add(it.ID, func() (msg, hint string) {
			if by.From == it.From && by.To == it.To {
				return fmt.Sprintf("%s is also in list %q (%s), which comes first", c.text(it), before.name, before.place(by)), "remove the wrong one"
			}
			return fmt.Sprintf("%s never counts: %s is in list %q (%s), which comes first", c.text(it), before.text(by), before.name, before.place(by)),
				fmt.Sprintf("remove the line, write an exception into list %q, or put list %q before it in the config", before.name, c.name)
		})
	}
	hides := before.mode == lists.Enforce && before.spec.Rules.Action != c.spec.Rules.Action && !before.nameExceptions
	around := newOverlaps(before)
	last := iptable.Span{}
	next := c.live(c.order.Addresses())
	for it, ok := next(); ok; it, ok = next() {
		around.advance(it)
		isRepeated := it.IsEqual(last)
		if last = it; it.Exception || isRepeated {
			continue
		}
		if by, ok := around.findCover(it, c.expiry(it)); ok && (by.IsEqual(it) || hides && !around.hasException(it)) {
			report(it, by)
		}
	}
	for it, by := range c.table.NamesAlsoIn(before.table, c.now) {
		report(it, by)
	}
}

// overlaps are the entries of a list that overlap the present entry of another one, of which the entries come in order.
type overlaps struct {
	*checked
	next      spans
	ahead     iptable.Span   // the first entry that begins after the present one
	more      bool           // there is one
	open      []iptable.Span // those that do not, and overlap it
	exception spans          // the exceptions of the list
	inside    iptable.Span   // the first exception that does not begin before the present entry
	isInside  bool           // there is one
}

func newOverlaps(c *checked) *overlaps {
	o := &overlaps{checked: c, next: c.live(c.order.Addresses())}
	o.ahead, o.more = o.next()
	if c.hasExceptions {
		all := c.live(c.order.Addresses())
		o.exception = func() (s iptable.Span, ok bool) {
			for s, ok = all(); ok && !s.Exception; s, ok = all() {
			}
			return s, ok
		}
		o.inside, o.isInside = o.exception()
	}
	return o
}

// advance makes it the present entry.
func (o *overlaps) advance(it iptable.Span) {
	for ; o.more && !it.From.Less(o.ahead.From); o.ahead, o.more = o.next() {
		if !o.ahead.To.Less(it.From) {
			o.open = append(o.open, o.ahead)
		}
	}
	o.open = slices.DeleteFunc(o.open, func(s iptable.Span) bool { return s.To.Less(it.From) })
	for ; o.isInside && o.inside.From.Less(it.From); o.inside, o.isInside = o.exception() {
	}
}

// findCover returns an entry that contains the present one, it: an equal one, or else one that lasts as long.
func (o *overlaps) findCover(it iptable.Span, expiry int64) (by iptable.Span, ok bool) {
	for _, s := range o.open {
		if s.Exception || s.To.Less(it.To) {
			continue
		}
		if isEqual := s.IsEqual(it); isEqual || o.expiry(s) >= expiry {
			if by, ok = s, true; isEqual {
				break
			}
		}
	}
	return by, ok
}

// hasException reports whether an exception overlaps the present entry: one that is open, or begins within it.
func (o *overlaps) hasException(it iptable.Span) bool {
	return slices.ContainsFunc(o.open, func(s iptable.Span) bool { return s.Exception }) || o.isInside && !it.To.Less(o.inside.From)
}

// marks is a set of entries, by their numbers.
type marks []uint64

func (m marks) has(id int32) bool { return m[id/64]>>(id%64)&1 != 0 }
func (m marks) set(id int32)      { m[id/64] |= 1 << (id % 64) }

// text returns an entry in its normal spelling.
func (c *checked) text(s iptable.Span) string {
	if s.From.IsValid() {
		return iptable.Item{Exception: s.Exception, From: s.From, To: s.To}.String()
	}
	return c.table.Entry(s.ID, netip.Addr{}).Text
}

// place returns file:line of an entry.
func (c *checked) place(s iptable.Span) string {
	e := c.table.Entry(s.ID, netip.Addr{})
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}
