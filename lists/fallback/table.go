package fallback

import (
	"sync/atomic"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
)

// Table has the entries that live. It never changes.
type Table struct{}

// Len returns the number of entries.
func (t *Table) Len() int { return 0 }

// AsOf returns the table without the entries whose life has ended, t itself if there are none. It is to be called every
// second, even while the store cannot be written, so that no entry lives too long.
func (t *Table) AsOf(now learnstore.Moment) *Table { return t }

// List is a list of the clients that were learned for one action. Several lists can share a table.
type List struct {
	action lists.Action
	never  lists.Source
	table  atomic.Pointer[Table]
}

var _ lists.SessionSource = (*List)(nil)

// NewList returns a list that is empty until a table is published. A client that never matches is not in the list whatever
// was learned; nil matches no client.
func NewList(action lists.Action, never lists.Source) *List {
	l := &List{action: action, never: never}
	l.table.Store(&Table{})
	return l
}

// Publish makes the list answer from a table.
func (l *List) Publish(t *Table) { l.table.Store(t) }

// Lookup implements [lists.Source].
func (l *List) Lookup(c lists.Client) lists.Match { return lists.Match{} }

// LookupSession implements [lists.SessionSource]. It counts the session, and offers STARTTLS to probes.
func (l *List) LookupSession(c lists.Client) lists.Match { return lists.Match{} }
