package file

import (
	"fmt"
	"iter"
	"net/netip"
	"sort"
	"strings"
	"time"

	"ehlogate/lists"
)

// Table is the content of a list, ready to be asked. It is immutable, so that
// a reload swaps one pointer and any number of readers need no lock.
//
// Address entries, however nested, are flattened into sorted disjoint
// segments that each name the deciding entry: a lookup is a search in a flat
// array of numbers, in which the garbage collector has nothing to follow. An
// entry costs a few bytes: the text is made again from the client's address
// and the length of the prefix when somebody wants to read it.
type Table struct {
	v4    flat[key4]
	v6    flat[key6]
	index []uint32 // where the segments of each 1<<16 IPv4 addresses begin
	names map[string]ref
	helos map[string]ref
	nodes []node

	files []fileSpan
	lines []uint32         // by entry id
	bits  []uint8          // by entry id: length of the prefix, or inTexts
	texts map[int32]string // of the entries that are not prefixes
	notes map[int32]string // of the entries that have one
	until map[int32]int64  // Unix nanoseconds, of the entries that expire
	named map[int32]struct{}
	holes map[int32]bool
}

// maxName is the length in bytes that no name of an entry exceeds.
const maxName = 256

// inTexts marks an entry whose text cannot be made from an address.
const inTexts = 255

// indexFrom is the number of segments from which the index over them is
// smaller than they are.
const indexFrom = 1 << 15

type fileSpan struct {
	name  string
	first int32 // id of its first entry
}

// Len is the number of entries, holes among them.
func (t *Table) Len() int { return len(t.lines) }

// Files is the number of files that the table was made of.
func (t *Table) Files() int { return len(t.files) }

// Lookup says whether the table holds c now, and by which entry, or which hole
// keeps it from that. The clock is read only where an entry that expires
// decides.
//
// Each kind has one winner. If one of them is a hole the table does not hold
// the client; else the first winner in the order address, name, HELO is the
// entry named.
func (t *Table) Lookup(c lists.Client, clock func() time.Time) (id int32, status lists.Status) {
	best := t.now(t.addrRef(c.Addr), clock)
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
		return 0, lists.Absent
	case best.hole():
		return best.id(), lists.Excepted
	}
	return best.id(), lists.Held
}

func (t *Table) addrRef(a netip.Addr) ref {
	switch {
	case a.Is4():
		k, lo, hi := key4Of(a), 0, len(t.v4.starts)
		if t.index != nil {
			lo, hi = int(t.index[k>>16]), int(t.index[k>>16+1])
		}
		return t.v4.at(k, lo, hi)
	case a.IsValid():
		return t.v6.at(key6Of(a), 0, len(t.v6.starts))
	}
	return 0
}

// at searches for the last segment that starts at or before k, known to be
// below hi and not below lo-1.
func (f *flat[K]) at(k K, lo, hi int) ref {
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); k.less(f.starts[mid]) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 {
		return 0
	}
	return f.refs[lo-1]
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

// now passes over what has expired.
func (t *Table) now(r ref, clock func() time.Time) ref {
	for r&chained != 0 {
		n := &t.nodes[r&^chained]
		if clock().UnixNano() < n.until {
			return n.entry
		}
		r = n.next
	}
	return r
}

// Entry describes entry id, which decided about a client at addr.
func (t *Table) Entry(id int32, addr netip.Addr) lists.Entry {
	f := t.files[sort.Search(len(t.files), func(i int) bool { return t.files[i].first > id })-1]
	e := lists.Entry{File: f.name, Line: int(t.lines[id]), Note: t.notes[id]}
	if ns, ok := t.until[id]; ok {
		e.Until = time.Unix(0, ns).UTC()
	}
	if n := t.bits[id]; n == inTexts {
		e.Text = t.texts[id]
	} else if p, err := addr.Prefix(int(n)); err == nil {
		e.Text = spanText(p.Addr(), lastOf(p))
		if t.holes[id] {
			e.Text = "!" + e.Text
		}
	}
	return e
}

// Boundaries gives the addresses at which the answer for an address may
// change, in order, IPv4 first; below the first one nothing is held.
func (t *Table) Boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, k := range t.v4.starts {
			if !yield(k.addr()) {
				return
			}
		}
		for _, k := range t.v6.starts {
			if !yield(k.addr()) {
				return
			}
		}
	}
}

// Named gives the entries that are about names, in which case a question
// about an address alone does not show all of the table.
func (t *Table) Named() iter.Seq[lists.Entry] {
	return func(yield func(lists.Entry) bool) {
		for id := range int32(t.Len()) {
			if _, ok := t.named[id]; ok && !yield(t.Entry(id, netip.Addr{})) {
				return
			}
		}
	}
}

// Expiries gives the instants at which entries end, in no order.
func (t *Table) Expiries() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for _, ns := range t.until {
			if !yield(time.Unix(0, ns).UTC()) {
				return
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

// builder takes entries in the order of precedence "later line wins".
type builder struct {
	t     Table
	v4    []span[key4]
	v6    []span[key6]
	names map[string][]span[key4] // the span is zero: only the entry counts
	helos map[string][]span[key4]
}

// file begins the entries of a file.
func (b *builder) file(name string) {
	b.t.files = append(b.t.files, fileSpan{name, int32(b.t.Len())})
}

// add takes one entry of the file begun last.
func (b *builder) add(it *Item) error {
	if b.t.Len() > maxID {
		return fmt.Errorf("more than %d entries", maxID)
	}
	t, id := &b.t, int32(b.t.Len())
	t.lines = append(t.lines, uint32(it.Line))
	bits := uint8(inTexts)
	if it.Kind == Address {
		if n, ok := spanBits(it.From, it.To); ok {
			bits = uint8(n)
		}
	}
	t.bits = append(t.bits, bits)
	if bits == inTexts {
		put(&t.texts, id, it.String())
	}
	if it.Note != "" {
		put(&t.notes, id, strings.Clone(it.Note))
	}
	if !it.Until.IsZero() {
		put(&t.until, id, it.Until.UnixNano())
	}
	if it.Hole {
		put(&t.holes, id, true)
	}
	e := entryRef(id, it.Hole)
	switch {
	case it.Kind == Name:
		put(&t.named, id, struct{}{})
		put(&b.names, it.Name, append(b.names[it.Name], span[key4]{entry: e}))
	case it.Kind == HELO:
		put(&t.named, id, struct{}{})
		put(&b.helos, it.Name, append(b.helos[it.Name], span[key4]{entry: e}))
	case it.From.Is4():
		b.v4 = append(b.v4, span[key4]{key4Of(it.From), key4Of(it.To), e})
	default:
		b.v6 = append(b.v6, span[key6]{key6Of(it.From), key6Of(it.To), e})
	}
	return nil
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

// table finishes. The builder is of no more use then.
func (b *builder) table() (*Table, error) {
	t := &b.t
	c := chains{until: t.until}
	var err error
	if t.v4, err = flatten(b.v4, &c); err != nil {
		return nil, err
	}
	if t.v6, err = flatten(b.v6, &c); err != nil {
		return nil, err
	}
	t.names, t.helos = nameRefs(b.names, &c), nameRefs(b.helos, &c)
	t.nodes = c.nodes
	if len(t.v4.starts) >= indexFrom {
		t.index = indexOf(t.v4.starts)
	}
	return t, nil
}

func nameRefs(m map[string][]span[key4], c *chains) map[string]ref {
	out := make(map[string]ref, len(m))
	for name, spans := range m {
		var refs []ref
		for h := heapOf(spans); len(h) > 0; {
			refs = append(refs, h.pop().entry)
		}
		out[strings.Clone(name)] = c.add(refs)
	}
	return out
}

func heapOf(spans []span[key4]) heap[key4] {
	var h heap[key4]
	for _, s := range spans {
		h.push(s)
	}
	return h
}

// indexOf notes for each upper half of an address how many segments start
// below it; one more closes the last.
func indexOf(starts []key4) []uint32 {
	index := make([]uint32, 1<<16+1)
	i := 0
	for top := range index {
		for i < len(starts) && uint64(starts[i]) < uint64(top)<<16 {
			i++
		}
		index[top] = uint32(i)
	}
	return index
}
