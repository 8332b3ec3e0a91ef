package listfile

import (
	"fmt"
	"net/netip"
	"slices"

	"ehlogate/lists"
)

// findRepeated finds entries about the same clients in one list.
func findRepeated[E extent[E]](c *checked, spans []span[E], found *findings) {
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

// findBefore finds entries of list c that an entry of a list before it contains: equal ones, and address entries that
// never decide, since no exception of that list overlaps them. It marks their indexes in known.
func findBefore[E extent[E]](c, before *checked, spans, others []span[E], known marks, found *findings) {
	hides := before.mode == lists.Enforce && before.spec.Rules.Action != c.spec.Rules.Action && !before.nameExceptions
	var open, exceptions []span[E] // of others: those that overlap the present entry and do not begin after it
	for _, o := range others {
		if o.isException() {
			exceptions = append(exceptions, o)
		}
	}
	n := 0
	for i, it := range spans {
		for ; n < len(others) && others[n].extent.compareBegin(it.extent) <= 0; n++ {
			open = append(open, others[n])
		}
		open = slices.DeleteFunc(open, func(o span[E]) bool { return o.extent.endsBefore(it.extent) })
		if len(open) == 0 || it.isException() || known.has(i) || i > 0 && spans[i-1].isEqual(it) {
			continue
		}
		by, ok := findCover(c, before, it, open)
		if !ok || !by.isEqual(it) && (!hides || isExcepted(it, open, exceptions)) {
			continue
		}
		known.set(i)
		found.add(it.id(), func() (msg, hint string) {
			if by.isEqual(it) {
				return fmt.Sprintf("%s is also in list %q (%s), which comes first", text(c, it), before.name, before.place(by.id())), "remove the wrong one"
			}
			return fmt.Sprintf("%s never counts: %s is in list %q (%s), which comes first", text(c, it), text(before, by), before.name, before.place(by.id())),
				fmt.Sprintf("remove the line, write an exception into list %q, or put list %q before it in the config", before.name, c.name)
		})
	}
}

// findCover returns an entry of open, in the order of compareSpans, that contains it: an equal one, or else one that
// lasts as long.
func findCover[E extent[E]](c, before *checked, it span[E], open []span[E]) (by span[E], ok bool) {
	for _, o := range open {
		if !o.isException() && o.extent.compareEnd(it.extent) >= 0 && (o.isEqual(it) || lastsAsLong(before, o, c, it)) {
			if by, ok = o, true; o.isEqual(it) {
				break
			}
		}
	}
	return by, ok
}

// isExcepted reports whether an exception overlaps it: one that is open, or begins within it.
func isExcepted[E extent[E]](it span[E], open, exceptions []span[E]) bool {
	at, _ := slices.BinarySearchFunc(exceptions, it, func(x, it span[E]) int { return x.extent.compareBegin(it.extent) })
	return slices.ContainsFunc(open, span[E].isException) || at < len(exceptions) && !it.extent.endsBefore(exceptions[at].extent)
}

// place returns file:line of an entry.
func (c *checked) place(id uint32) string {
	e := c.table.Entry(int32(id), netip.Addr{})
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}
