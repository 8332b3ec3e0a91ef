package listfile

import (
	"iter"
	"math"
	"net/netip"
	"slices"
	"sort"
	"time"

	"ehlogate/lists"
)

// Table is the content of a list, ready to be asked. It is immutable, so that
// a reload swaps one pointer and any number of readers need no lock.
//
// It is fast and small because all thinking is done when it is made. Address
// entries, however nested, are flattened into sorted disjoint segments that
// each name the deciding entry, so that a lookup is one step through an index
// and a short search in a flat array of numbers, in which the garbage
// collector has nothing to follow. An IPv4 address costs six bytes: its text is
// made again from the client's address and the length of the prefix when
// somebody wants to read it, and its line follows from that of the entry before.
//
// Only where entries that expire overlap with others is the decision left to the
// lookup, which then looks through those that are about the address: the table
// stays as small as the list is, whatever overlaps.
type Table struct {
	v4     segments4
	v6     segments6
	over4  overlaps[key4]
	over6  overlaps[key6]
	names  map[string]ref
	helos  map[string]ref
	stairs stairs // of names

	files []fileSpan
	lines sparse[uint32] // of the entries whose line does not follow that of the entry before
	bits  lengths
	texts texts // of the entries that are not prefixes
	notes texts
	until expiries
	named []int32 // the entries that are about names
	holes []int32

	// Until when there are entries about host names, and holes about them.
	namesHold, namesExcept lasting
}

// maxName is the length in bytes that no name of an entry exceeds.
const maxName = 256

// inTexts marks an entry whose text cannot be made from an address.
const inTexts = 255

type fileSpan struct {
	name  string
	first int32 // id of its first entry
}

// Len is the number of entries, holes among them.
func (t *Table) Len() int { return t.bits.n }

// Files is the number of files that the table was made of.
func (t *Table) Files() int { return len(t.files) }

// Lookup says whether the table holds c now, and by which entry, or which hole
// keeps it from that. The clock is read only where an entry that expires
// decides.
//
// Each kind has one winner. If one of them is a hole the table does not hold
// the client; else the first winner in the order address, name, HELO is the
// entry named.
//
// If it could not be found out what the client's name is (NameStatus), that
// is the answer wherever a name might make a difference.
func (t *Table) Lookup(c lists.Client, clock func() time.Time) (id int32, status lists.Status) {
	if c.NameStatus != lists.NoMatch && c.Name == "" {
		return t.nameless(c, clock)
	}
	best := t.address(c.Addr, clock)
	if !best.hole() && c.Name != "" && len(t.names) > 0 {
		if r := t.name(t.names, c.Name, clock); r.hole() || best == 0 {
			best = r
		}
	}
	if best == 0 && c.HELO != "" && len(t.helos) > 0 {
		best = t.name(t.helos, c.HELO, clock) // no holes here
	}
	switch {
	case best == 0:
		return 0, lists.NoMatch
	case best.hole():
		return best.id(), lists.Exception
	}
	return best.id(), lists.Matched
}

// nameless is Lookup for a client that may or may not have a name.
func (t *Table) nameless(c lists.Client, clock func() time.Time) (id int32, status lists.Status) {
	status = c.NameStatus
	c.NameStatus = lists.NoMatch
	switch id, known := t.Lookup(c, clock); {
	case known == lists.Matched && t.namesExcept.at(clock),
		known == lists.NoMatch && t.namesHold.at(clock):
		return 0, status
	default:
		return id, known
	}
}

// lasting is the last instant, in Unix nanoseconds, at which there is some
// entry.
type lasting int64

// at reads the clock only if there is something that may have expired.
func (l lasting) at(clock func() time.Time) bool {
	return l == math.MaxInt64 || l > 0 && clock().UnixNano() < int64(l)
}

// address finds the entry for an address.
func (t *Table) address(a netip.Addr, clock func() time.Time) ref {
	switch {
	case a.Is4():
		k := key4Of(a)
		r := t.v4.at(k)
		if r != several {
			return t.alone(r, clock)
		}
		return t.over4.at(k, &t.until, clock().UnixNano())
	case a.IsValid():
		k := key6Of(a)
		r := t.v6.at(k)
		if r != several {
			return t.alone(r, clock)
		}
		return t.over6.at(k, &t.until, clock().UnixNano())
	}
	return 0
}

// alone returns r if it has not ended.
func (t *Table) alone(r ref, clock func() time.Time) ref {
	if r&passing == 0 {
		return r
	}
	if r &^= passing; t.until.live(r, clock().UnixNano()) {
		return r
	}
	return 0
}

// name finds the longest entry for a name: itself, then each domain above it,
// then every name.
func (t *Table) name(m map[string]ref, name string, clock func() time.Time) ref {
	if name[0] != '.' { // which would be taken for a domain
		if r := t.now(m[name], clock); r != 0 {
			return r
		}
	}
	// No entry is longer than maxName, whatever a client makes of its name.
	for i := max(1, len(name)-maxName); i < len(name); i++ {
		if name[i] == '.' {
			if r := t.now(m[name[i:]], clock); r != 0 {
				return r
			}
		}
	}
	return t.now(m["."], clock)
}

// now returns the entry of a name that has not ended.
func (t *Table) now(r ref, clock func() time.Time) ref {
	if r&several == several {
		return t.stairs.at(int(r&^several), &t.until, clock().UnixNano())
	}
	return t.alone(r, clock)
}

// Entry describes entry id, which decided about a client at addr.
func (t *Table) Entry(id int32, addr netip.Addr) lists.Entry {
	f := t.files[sort.Search(len(t.files), func(i int) bool { return t.files[i].first > id })-1]
	e := lists.Entry{File: f.name, Line: t.line(id), Note: t.notes.get(id)}
	if ns, ok := t.until.get(id); ok {
		e.Until = time.Unix(0, ns).UTC()
	}
	if n := t.bits.get(id); n == inTexts {
		e.Text = t.texts.get(id)
	} else if p, err := addr.Prefix(int(n)); err == nil {
		_, hole := slices.BinarySearch(t.holes, id)
		e.Text = Item{Hole: hole, From: p.Addr(), To: lastOf(p)}.String()
	}
	return e
}

// line gives the line of an entry: lines follow each other but where there
// are comments.
func (t *Table) line(id int32) int {
	run := sort.Search(len(t.lines.ids), func(i int) bool { return t.lines.ids[i] > id }) - 1
	return int(t.lines.values[run]) + int(id-t.lines.ids[run])
}

// Boundaries gives the addresses at which the answer for an address may
// change, in order, IPv4 first; below the first one nothing is held.
func (t *Table) Boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, bounds := range []iter.Seq[netip.Addr]{bounds(t.v4.bounds(), &t.over4), bounds(t.v6.bounds(), &t.over6)} {
			for a := range bounds {
				if !yield(a) {
					return
				}
			}
		}
	}
}

// bounds adds those of overlaps to those of segments, in order.
func bounds[K key[K]](segments iter.Seq[netip.Addr], o *overlaps[K]) iter.Seq[netip.Addr] {
	if len(o.laps) == 0 {
		return segments
	}
	all := slices.Collect(segments)
	for _, k := range o.bounds() {
		all = append(all, k.addr())
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Values(slices.Compact(all))
}

// Named gives the entries that are about names, in which case a question
// about an address alone does not show all of the table.
func (t *Table) Named() iter.Seq[lists.Entry] {
	return func(yield func(lists.Entry) bool) {
		for _, id := range t.named {
			if !yield(t.Entry(id, netip.Addr{})) {
				return
			}
		}
	}
}

// Expiries gives the instants at which entries end, in no order.
func (t *Table) Expiries() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for _, part := range t.until.parts {
			for _, ns := range part {
				if !yield(time.Unix(0, ns).UTC()) {
					return
				}
			}
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	if a := p.Addr(); a.Is4() {
		return (key4Of(a) | key4(uint64(1)<<(32-p.Bits())-1)).addr()
	}
	k, host := key6Of(p.Addr()), maxKey6.and(128-p.Bits())
	return key6{k.hi | host.hi, k.lo | host.lo}.addr()
}
