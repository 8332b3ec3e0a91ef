package fallback

import (
	"net/netip"
	"sync/atomic"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
)

// Table has the entries that live. It never changes.
type Table struct {
	places  map[netip.Addr]int32
	entries []tableEntry
	budget  *budget
	every   int64 // see Options.ProbeSessions
}

// tableEntry is an entry as a table has it.
type tableEntry struct {
	addr   netip.Addr
	action lists.Action
	until  learnstore.Moment
	note   string
	probe  *probe
}

// Table returns the table as it is after the last call.
func (l *Learner) Table() *Table {
	if l.table == nil {
		t := &Table{budget: l.budget, every: int64(max(l.options.ProbeSessions, 1))}
		for _, e := range l.sortedEntries() {
			if e.live {
				t.entries = append(t.entries, tableEntry{e.addr, e.action, e.until, e.describe(), e.probe})
			}
		}
		t.index()
		l.table = t
	}
	return l.table
}

func (t *Table) index() {
	t.places = make(map[netip.Addr]int32, len(t.entries))
	for i, e := range t.entries {
		t.places[e.addr] = int32(i)
	}
}

// describe returns the note of an entry.
func (e *entry) describe() string {
	return "learned " + e.made.Wall.UTC().Format(time.RFC3339) + ": TLS failed with " + e.class.String()
}

// Len returns the number of entries.
func (t *Table) Len() int { return len(t.entries) }

// AsOf returns the table without the entries whose life has ended, t itself if there are none. It is to be called every
// second, even while the store cannot be written: a [List] goes by the clock alone, which may have been set back.
func (t *Table) AsOf(now learnstore.Moment) *Table {
	var alive []tableEntry
	for _, e := range t.entries {
		if !isOver(e.until, now) {
			alive = append(alive, e)
		}
	}
	if len(alive) == len(t.entries) {
		return t
	}
	next := &Table{entries: alive, budget: t.budget, every: t.every}
	next.index()
	return next
}

// Entry implements [lists.Describer].
func (t *Table) Entry(id int32, addr netip.Addr) lists.Entry {
	if id < 0 || int(id) >= len(t.entries) {
		return lists.Entry{}
	}
	e := &t.entries[id]
	return lists.Entry{Text: e.addr.String(), Until: e.until.Wall, Note: e.note}
}

// List is a list of the clients that were learned for one action. Several lists can share a table.
type List struct {
	action lists.Action
	never  lists.Source
	clock  func() time.Time
	table  atomic.Pointer[Table]
}

var _ lists.SessionSource = (*List)(nil)

// NewList returns a list that is empty until a table is published. A client that never has, or may have, is not in the list,
// whatever was learned. nil has no client. After the end of its life by clock, an entry is not in the list either, whichever table was
// published last.
func NewList(action lists.Action, never lists.Source, clock func() time.Time) *List {
	l := &List{action: action, never: never, clock: clock}
	l.table.Store(&Table{})
	return l
}

// Publish makes the list answer from a table.
func (l *List) Publish(t *Table) { l.table.Store(t) }

// find returns the entry of a client; its table, too.
func (l *List) find(c lists.Client) (*Table, int32, bool) {
	t := l.table.Load()
	id, ok := t.places[c.Addr]
	if !ok || t.entries[id].action != l.action || !l.clock().Before(t.entries[id].until.Wall) {
		return nil, 0, false
	}
	if l.never != nil {
		if s := l.never.Lookup(c).Status; s != lists.NoMatch && s != lists.Exception {
			return nil, 0, false
		}
	}
	return t, id, true
}

// Lookup implements [lists.Source].
func (l *List) Lookup(c lists.Client) lists.Match {
	t, id, ok := l.find(c)
	if !ok || t.entries[id].probe.offered.Load() {
		return lists.Match{}
	}
	return lists.Match{Status: lists.Matched, ID: id, By: t}
}

// LookupSession implements [lists.SessionSource]. It counts the session, and offers STARTTLS to probes and beyond the cap. Of
// the two questions about a session, the one that the list is for counts. Where mail servers do not ask which versions of TLS
// a client is served, as Postfix, no session is a probe of an entry for old TLS.
func (l *List) LookupSession(c lists.Client) lists.Match {
	if c.Profile != (l.action == lists.Legacy) {
		return l.Lookup(c)
	}
	t, id, ok := l.find(c)
	if !ok {
		return lists.Match{}
	}
	var allowed *budget
	if l.action == lists.Suppress {
		allowed = t.budget
	}
	if !t.entries[id].probe.matchSession(t.every, allowed) {
		return lists.Match{}
	}
	return lists.Match{Status: lists.Matched, ID: id, By: t}
}
