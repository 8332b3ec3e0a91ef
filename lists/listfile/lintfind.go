package listfile

import (
	"fmt"
	"net/netip"
	"slices"
)

// findRepeated finds entries about the same clients in one list.
func findRepeated[K number[K]](c *checked, spans []span[K], found *findings) {
	if found.isOff {
		return
	}
	for i := 0; i < len(spans); {
		first := spans[i]
		for i++; i < len(spans) && spans[i].isEqual(first); i++ {
			it := spans[i]
			if it.isException() != first.isException() && !(lastsAsLong(c, it, c, first) && lastsAsLong(c, first, c, it)) {
				continue // an exception for some time
			}
			found.add(it.id(), func() (msg, hint string) {
				if it.isException() != first.isException() {
					return fmt.Sprintf("%s contradicts %s (%s): the exception wins", text(c, it), text(c, first), c.place(first.id())), "keep one of them"
				}
				return fmt.Sprintf("duplicate entry %s, first in %s", text(c, it), c.place(first.id())), "remove one of the lines"
			})
		}
	}
}

// findCovered finds address entries without effect: the next wider entry says the same for at least as long. It does not
// warn if an entry that says otherwise may come in between.
func findCovered[K number[K]](c *checked, spans []span[K], found *findings) {
	var open []span[K] // those before the present one that overlap it
	for i, it := range spans {
		open = slices.DeleteFunc(open, func(o span[K]) bool { return o.to.compare(it.from) < 0 })
		if by, ok := findCover(c, it, c, open); ok && by.isException() == it.isException() && !isContradicted(it, by, open, spans[i+1:]) {
			found.add(it.id(), func() (msg, hint string) {
				return fmt.Sprintf("%s is covered by %s (%s)", text(c, it), text(c, by), c.place(by.id())), "remove the line, unless it is there for its note"
			})
		}
		open = append(open, it)
	}
}

// findCover returns the narrowest of open, which are entries of list x, that contains an entry of list c, and lasts as
// long. Of the same list it says the same, and is not an equal one.
func findCover[K number[K]](c *checked, it span[K], x *checked, open []span[K]) (by span[K], ok bool) {
	for _, o := range open {
		if c == x && (o.isEqual(it) || o.isException() != it.isException()) || c != x && o.isException() {
			continue
		}
		if o.to.compare(it.to) >= 0 && lastsAsLong(x, o, c, it) && (!ok || o.compareSize(by) < 0) {
			by, ok = o, true
		}
	}
	return by, ok
}

// isContradicted reports whether an entry that overlaps it says otherwise, and comes between it and by in precedence.
// Some overlapping ones are open, the others begin later within it.
func isContradicted[K number[K]](it, by span[K], open, later []span[K]) bool {
	const maxLater = 1000 // bounds the time for one warning
	isBetween := func(o span[K]) bool {
		return o.isException() != it.isException() && o.compareSize(it) >= 0 && o.compareSize(by) <= 0
	}
	if slices.ContainsFunc(open, isBetween) {
		return true
	}
	for n, o := range later {
		if it.to.compare(o.from) < 0 {
			return false
		}
		if n == maxLater || isBetween(o) {
			return true
		}
	}
	return false
}

// findCommon finds entries of list c that are also in a list before it, and marks their indexes in known.
func findCommon[K number[K]](c, before *checked, spans, others []span[K], known marks, found *findings) {
	n := 0
	for i, it := range spans {
		if i > 0 && spans[i-1].isEqual(it) || it.isException() || known.has(i) {
			continue
		}
		for n < len(others) && compareSpans(span[K]{others[n].from, others[n].to, it.entry}, it) < 0 {
			n++
		}
		if n == len(others) {
			return
		}
		if other := others[n]; other.isEqual(it) && !other.isException() {
			known.set(i)
			found.add(it.id(), func() (msg, hint string) {
				return fmt.Sprintf("%s is also in list %q (%s), which comes first", text(c, it), before.name, before.place(other.id())), "remove the wrong one"
			})
		}
	}
}

// findHidden finds address entries of list c that never decide, since an entry of a list before it contains them, and
// no exception of that list overlaps them.
func findHidden[K number[K]](c, before *checked, spans, others []span[K], known marks, found *findings) {
	var open, exceptions []span[K]
	for _, o := range others {
		if o.isException() {
			exceptions = append(exceptions, o)
		}
	}
	n := 0
	for i, it := range spans {
		for ; n < len(others) && others[n].from.compare(it.from) <= 0; n++ {
			open = append(open, others[n])
		}
		open = slices.DeleteFunc(open, func(o span[K]) bool { return o.to.compare(it.from) < 0 })
		if len(open) == 0 || it.isException() || known.has(i) || slices.ContainsFunc(open, span[K].isException) {
			continue
		}
		if at := searchFrom(exceptions, it.from); at < len(exceptions) && exceptions[at].from.compare(it.to) <= 0 {
			continue
		}
		if by, ok := findCover(c, it, before, open); ok {
			known.set(i)
			found.add(it.id(), func() (msg, hint string) {
				return fmt.Sprintf("%s never counts: %s is in list %q (%s), which comes first", text(c, it), text(before, by), before.name, before.place(by.id())),
					fmt.Sprintf("remove the line, write an exception into list %q, or put list %q before it in the config", before.name, c.name)
			})
		}
	}
}

// place returns file:line of an entry.
func (c *checked) place(id uint32) string {
	e := c.table.Entry(int32(id), netip.Addr{})
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}
