package iptable

import (
	"iter"
	"math"
	"net/netip"
	"slices"
	"sort"
	"time"

	"go4.org/netipx"

	"ehlogate/lists"
)

// Table holds the entries of a list. It is immutable. See [Builder].
type Table struct {
	v4             segments4
	v6             segments6
	tree4          intervalTree[key4]
	tree6          intervalTree[key6]
	names, helos   nameIndex
	domains        bool // all host names are of the kind Domain
	nameCandidates candidates

	files      []fileStart
	lines      sparse[uint32] // of entries that are not in the line after the entry before
	bits       prefixLengths
	texts      texts // of entries that are not prefixes
	notes      texts // of entries with another note than the one before
	until      expiries
	exceptions []int32

	lastName, lastNameException latestExpiry
}

// maxNameLen is the length in bytes that no name of an entry exceeds.
const maxNameLen = 256

// notPrefix is in place of the prefix length of an entry that is no prefix.
const notPrefix = 255

type fileStart struct {
	name  string
	first int32 // id of its first entry
}

// Count returns the number of entries, exceptions included.
func (t *Table) Count() int { return t.bits.n }

func (t *Table) HasNames() bool { return !t.names.isEmpty() }

func (t *Table) HasHELONames() bool { return !t.helos.isEmpty() }

// Lookup returns whether the table matches c now, and the entry or exception that decides that. It reads the clock only
// where an entry that expires decides.
//
// Each kind has one winner. If one of them is an exception, the table does not match; else the first winner in the order
// address, name, HELO name is the match.
//
// If the name of the client could not be found out (NameStatus), Lookup returns that status wherever a name could make a
// difference.
func (t *Table) Lookup(c lists.Client, clock func() time.Time) (id int32, status lists.Status) {
	if c.NameStatus != lists.NoMatch && c.Name == "" {
		return t.lookupNameless(c, clock)
	}
	best := t.lookupAddr(c.Addr, clock)
	if !best.exception() && c.Name != "" && t.HasNames() {
		if r := t.lookupName(&t.names, c.Name, clock); r.exception() || best == 0 {
			best = r
		}
	}
	if best == 0 && c.HELO != "" && t.HasHELONames() {
		best = t.lookupName(&t.helos, c.HELO, clock) // never an exception
	}
	switch {
	case best == 0:
		return 0, lists.NoMatch
	case best.exception():
		return best.entryID(), lists.Exception
	}
	return best.entryID(), lists.Matched
}

// lookupNameless is Lookup for a client that may or may not have a name.
func (t *Table) lookupNameless(c lists.Client, clock func() time.Time) (id int32, status lists.Status) {
	status = c.NameStatus
	c.NameStatus = lists.NoMatch
	switch id, known := t.Lookup(c, clock); {
	case known == lists.Matched && t.lastNameException.isAhead(clock),
		known == lists.NoMatch && t.lastName.isAhead(clock):
		return 0, status
	default:
		return id, known
	}
}

// latestExpiry is when the last of some entries expires, in Unix nanoseconds; 0: there are none.
type latestExpiry int64

func (l *latestExpiry) extend(until time.Time) {
	if until.IsZero() {
		*l = math.MaxInt64
	} else {
		*l = max(*l, latestExpiry(until.UnixNano()))
	}
}

// isAhead reads the clock only if it matters.
func (l latestExpiry) isAhead(clock func() time.Time) bool {
	return l == math.MaxInt64 || l > 0 && clock().UnixNano() < int64(l)
}

func (t *Table) lookupAddr(a netip.Addr, clock func() time.Time) ref {
	switch {
	case a.Is4():
		k := key4Of(a)
		r := t.v4.lookup(k)
		if r != timeDependent {
			return t.unlessExpired(r, clock)
		}
		return t.tree4.lookup(k, &t.until, clock().UnixNano())
	case a.IsValid():
		k := key6Of(a)
		r := t.v6.lookup(k)
		if r != timeDependent {
			return t.unlessExpired(r, clock)
		}
		return t.tree6.lookup(k, &t.until, clock().UnixNano())
	}
	return 0
}

// unlessExpired returns r, or 0 if its entry has expired.
func (t *Table) unlessExpired(r ref, clock func() time.Time) ref {
	if r&expiring == 0 {
		return r
	}
	if r &^= expiring; t.until.isLive(r, clock().UnixNano()) {
		return r
	}
	return 0
}

// lookupName returns the longest entry for a name: the name itself, then each domain above it, then every name.
func (t *Table) lookupName(x *nameIndex, name string, clock func() time.Time) ref {
	if name[0] != '.' { // which would be taken for a domain
		if r := t.resolve(x.lookup(name, &t.texts), clock); r != 0 {
			return r
		}
	}
	dot := 0
	if t.domains && x == &t.names {
		dot = 1
	}
	// No entry is longer than maxNameLen, however long the name of a client.
	for i := max(1, len(name)-maxNameLen); i < len(name); i++ {
		if name[i] == '.' {
			if r := t.resolve(x.lookup(name[i+dot:], &t.texts), clock); r != 0 {
				return r
			}
		}
	}
	return t.resolve(x.lookup(".", &t.texts), clock)
}

// resolve returns the entry of a name that has not expired, or 0.
func (t *Table) resolve(r ref, clock func() time.Time) ref {
	if r&timeDependent == timeDependent {
		return t.nameCandidates.lookup(int(r&^timeDependent), &t.until, clock().UnixNano())
	}
	return t.unlessExpired(r, clock)
}

// Entry describes entry id, which matched a client at addr.
func (t *Table) Entry(id int32, addr netip.Addr) lists.Entry {
	f := t.files[sort.Search(len(t.files), func(i int) bool { return t.files[i].first > id })-1]
	first, line := t.lines.floor(id)
	e := lists.Entry{File: f.name, Line: int(line) + int(id-first)}
	if ns, ok := t.until.lookup(id); ok {
		e.Until = time.Unix(0, ns).UTC()
	}
	_, e.Note = t.notes.floor(id)
	var few [64]byte // as in Item.String
	e.Text = string(t.AppendEntryText(few[:0], id, addr))
	return e
}

var _ lists.TextDescriber = (*Table)(nil)

// AppendEntryText implements [lists.TextDescriber].
func (t *Table) AppendEntryText(out []byte, id int32, addr netip.Addr) []byte {
	var it Item
	if n := t.bits.lookup(id); n == notPrefix {
		it = t.itemOf(id)
	} else if p, err := addr.Prefix(int(n)); err == nil {
		it = Item{From: p.Addr(), To: netipx.PrefixLastIP(p)}
	} else {
		return out
	}
	_, it.Exception = slices.BinarySearch(t.exceptions, id)
	return it.appendTo(out)
}

// itemOf returns an entry that is no prefix.
func (t *Table) itemOf(id int32) Item {
	kind, text := t.texts.floor(id)
	if kind != Address {
		return Item{Kind: kind, Name: text}
	}
	from, _ := netip.AddrFromSlice([]byte(text[:len(text)/2]))
	to, _ := netip.AddrFromSlice([]byte(text[len(text)/2:]))
	return Item{From: from, To: to}
}

// Expiry returns when entry id expires, in Unix nanoseconds; false if it never does.
func (t *Table) Expiry(id int32) (ns int64, ok bool) { return t.until.lookup(id) }

// Boundaries returns the addresses at which the answer for an address may change, in order, IPv4 first. Below the first
// one there is no match.
func (t *Table) Boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, all := range []iter.Seq[netip.Addr]{
			merge(t.v4.boundaries(), t.tree4.boundaries()), merge(t.v6.boundaries(), t.tree6.boundaries()),
		} {
			for a := range all {
				if !yield(a) {
					return
				}
			}
		}
	}
}

// merge returns sorted and others together, sorted. It does not copy sorted, which may be millions.
func merge(sorted iter.Seq[netip.Addr], others []netip.Addr) iter.Seq[netip.Addr] {
	slices.SortFunc(others, netip.Addr.Compare)
	others = slices.Compact(others)
	return func(yield func(netip.Addr) bool) {
		rest := others
		for a := range sorted {
			for ; len(rest) > 0 && rest[0].Less(a); rest = rest[1:] {
				if !yield(rest[0]) {
					return
				}
			}
			if len(rest) > 0 && rest[0] == a {
				rest = rest[1:]
			}
			if !yield(a) {
				return
			}
		}
		for _, a := range rest {
			if !yield(a) {
				return
			}
		}
	}
}

// NameEntries returns the entries about names, which lookups of addresses alone do not show.
func (t *Table) NameEntries() iter.Seq[lists.Entry] {
	return func(yield func(lists.Entry) bool) {
		t.texts.all(func(id int32, kind Kind, _ place) bool { return kind == Address || yield(t.Entry(id, netip.Addr{})) })
	}
}

// Expiries returns the times at which entries expire, unsorted.
func (t *Table) Expiries() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for _, chunk := range t.until.chunks {
			for _, ns := range chunk {
				if !yield(time.Unix(0, ns).UTC()) {
					return
				}
			}
		}
	}
}
