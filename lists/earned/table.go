package earned

import (
	"net/netip"
	"sync/atomic"

	"ehlogate/lists"
)

// Table has the clients that are earned. It is immutable.
type Table struct{}

// Count returns the number of clients.
func (t *Table) Count() int { return 0 }

// Entry implements [lists.Describer].
func (t *Table) Entry(_ int32, addr netip.Addr) lists.Entry { return lists.Entry{} }

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
func (l *List) Lookup(c lists.Client) lists.Match { return lists.Match{} }
