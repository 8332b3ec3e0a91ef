package iptable

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Order has the entries that a table was built of, so that they can be compared with each other. It shares their memory with the
// builder, so that it takes none in addition while the table is built.
type Order struct {
	v4       entries4
	v6       entries6
	bits     []uint8
	repeated []ref // of entries about names: each but the first about a name, after that first one
}

// Span is an entry.
type Span struct {
	From, To  netip.Addr // of an entry about a name: invalid
	First     int32      // of an entry about a name: the number of the first one about the same name
	ID        int32
	Exception bool
}

// IsEqual reports whether two entries are about the same clients.
func (s Span) IsEqual(o Span) bool { return s.From == o.From && s.To == o.To && s.First == o.First }

// MayRepeat returns false if no two entries about addresses are equal.
func (o *Order) MayRepeat() bool { return o.v4.sharesFirsts || o.v6.sharesFirsts }

// order sorts the IPv4 entries of the builder.
func (b *Builder) order() *Order {
	for words := b.v4.words; len(words) > 0; {
		n := 1
		for n < len(words) && words[n]>>32 == words[0]>>32 {
			n++
		}
		if n > 1 {
			slices.SortFunc(words[:n], func(v, w uint64) int {
				v, w = v&^isPrefix, w&^isPrefix
				return cmp.Or(cmp.Compare(b.bits[ref(v).entryID()], b.bits[ref(w).entryID()]), cmp.Compare(v, w))
			})
		}
		words = words[n:]
	}
	return &Order{v4: b.v4, bits: b.bits}
}

// Addresses returns an iterator over the entries about addresses: by the first address, wider ones before narrower, and equal
// ones by number. After the last one it returns false.
func (o *Order) Addresses() func() (Span, bool) {
	next4, next6 := o.v4.inOrder(o.bits), o.v6.inOrder()
	return func() (Span, bool) {
		if s, ok := next4(); ok {
			return newSpan(s), true
		}
		s, ok := next6()
		if !ok {
			return Span{}, false
		}
		return newSpan(s), true
	}
}

func newSpan[K key[K]](s span[K]) Span {
	return Span{From: s.from.toAddr(), To: s.to.toAddr(), ID: s.entry.entryID(), Exception: s.entry.exception()}
}

// RepeatedNames returns an iterator over the entries about names that have several, those about one name together and by number.
// After the last one it returns false.
func (o *Order) RepeatedNames() func() (Span, bool) {
	rest, last := o.repeated, ref(0)
	return func() (Span, bool) {
		if len(rest) == 0 {
			return Span{}, false
		}
		first, r := rest[0], rest[0]
		if first == last {
			r, rest = rest[1], rest[2:]
		}
		last = first
		return Span{First: first.entryID(), ID: r.entryID(), Exception: r.exception()}, true
	}
}

// addRepeated adds the entries about one name, by number.
func (o *Order) addRepeated(entries []ref) {
	for _, again := range entries[1:] {
		o.repeated = appendDoubling(appendDoubling(o.repeated, entries[0]), again)
	}
}

// NamesAlsoIn returns the first entry about each name about which other has one too, and the one that decides there at now.
// Exceptions, and entries that have expired, are left out.
func (t *Table) NamesAlsoIn(other *Table, now time.Time) iter.Seq2[Span, Span] {
	indexes, others := [...]*nameIndex{Name: &t.names, HELO: &t.helos, Domain: &t.names}, [...]*nameIndex{Name: &other.names, HELO: &other.helos, Domain: &other.names}
	names, helos := newBitset(len(t.names.slots)), newBitset(len(t.helos.slots))
	seen := [...]bitset{Name: names, HELO: helos, Domain: names}
	clock := func() time.Time { return now }
	return func(yield func(Span, Span) bool) {
		t.texts.all(func(id int32, kind Kind, at place) bool {
			if kind == Address || others[kind].isEmpty() || !t.until.isLive(entryRef(id, false), now.UnixNano()) {
				return true
			}
			_, text, _ := t.texts.read(at)
			key := string(text)
			if other.domains && kind == Name {
				key = strings.TrimPrefix(key, ".")
			}
			by := other.resolve(others[kind].lookup(key, &other.texts), clock)
			if by == 0 || by.exception() {
				return true
			}
			slot, _, _ := indexes[kind].find(string(text), &t.texts)
			if _, isException := slices.BinarySearch(t.exceptions, id); !seen[kind].add(slot) || isException {
				return true
			}
			return yield(Span{First: id, ID: id}, Span{First: by.entryID(), ID: by.entryID()})
		})
	}
}

// bitset is a set of small numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

// add returns false if i was in the set.
func (b bitset) add(i int) bool {
	known := b[i/64]>>(i%64)&1 != 0
	b[i/64] |= 1 << (i % 64)
	return !known
}
