package earned

import (
	"net/netip"
	"sync/atomic"

	"ehlogate/lists"
)

// Table has the clients that are earned. It is immutable. What changed since base was made is beside it, so that a client
// more or less does not copy all others.
type Table struct {
	base           set
	added, removed set // of which none, and all, are in base
}

// Count returns the number of clients.
func (t *Table) Count() int { return t.base.n - t.removed.n + t.added.n }

// Has reports whether the client at an address is earned.
func (t *Table) Has(a netip.Addr) bool {
	c, ok := clientOf(a)
	return ok && t.has(c)
}

func (t *Table) has(c client) bool {
	if t.base.has(c) {
		return !t.removed.has(c)
	}
	return t.added.has(c)
}

// Entry implements [lists.Describer].
func (t *Table) Entry(_ int32, addr netip.Addr) lists.Entry {
	c, ok := clientOf(addr)
	if !ok {
		return lists.Entry{}
	}
	return lists.Entry{Text: c.String(), Note: "earned: its mail was accepted on several days"}
}

// List is the source of a list of the clients that are earned. It answers from the table that was published last; before the
// first one, it is unavailable.
type List struct {
	never lists.Source
	table atomic.Pointer[Table]
}

// NewList returns a List. What the source never, which may be nil, matches, the list does not match.
func NewList(never lists.Source) *List { return &List{never: never} }

// Publish makes the list answer from a table.
func (l *List) Publish(t *Table) { l.table.Store(t) }

// Lookup implements [lists.Source].
func (l *List) Lookup(c lists.Client) lists.Match {
	t := l.table.Load()
	switch {
	case t == nil:
		return lists.Match{Status: lists.Unavailable}
	case !t.Has(c.Addr):
		return lists.Match{}
	case l.never != nil && l.never.Lookup(c).Status == lists.Matched:
		return lists.Match{}
	}
	return lists.Match{Status: lists.Matched, By: t}
}
