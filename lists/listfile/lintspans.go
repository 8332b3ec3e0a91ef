package listfile

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"ehlogate/lists/iptable"
)

// extent is which clients an entry is about: a range of addresses, or a name.
type extent[E any] interface {
	comparable
	compareBegin(E) int // by the first address
	compareEnd(E) int   // by the last one
	endsBefore(E) bool  // the last address of the one is before the first of the other
	first() netip.Addr  // invalid for names
	last() netip.Addr
}

type (
	extent4  struct{ from, to uint32 }
	extent6  struct{ from, to [16]byte }
	nameHash [8]byte
)

func (e extent4) compareBegin(o extent4) int { return cmp.Compare(e.from, o.from) }
func (e extent4) compareEnd(o extent4) int   { return cmp.Compare(e.to, o.to) }
func (e extent4) endsBefore(o extent4) bool  { return e.to < o.from }
func (e extent4) first() netip.Addr          { return addr4(e.from) }
func (e extent4) last() netip.Addr           { return addr4(e.to) }

func (e extent6) compareBegin(o extent6) int { return compare16(&e.from, &o.from) }
func (e extent6) compareEnd(o extent6) int   { return compare16(&e.to, &o.to) }
func (e extent6) endsBefore(o extent6) bool  { return compare16(&e.to, &o.from) < 0 }
func (e extent6) first() netip.Addr          { return netip.AddrFrom16(e.from) }
func (e extent6) last() netip.Addr           { return netip.AddrFrom16(e.to) }

// compare16 is bytes.Compare in less time.
func compare16(a, b *[16]byte) int {
	if c := cmp.Compare(binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])); c != 0 {
		return c
	}
	return cmp.Compare(binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:]))
}

func (n nameHash) compareBegin(o nameHash) int { return bytes.Compare(n[:], o[:]) }
func (n nameHash) compareEnd(o nameHash) int   { return bytes.Compare(n[:], o[:]) }
func (n nameHash) endsBefore(o nameHash) bool  { return bytes.Compare(n[:], o[:]) < 0 }
func (n nameHash) first() netip.Addr           { return netip.Addr{} }
func (n nameHash) last() netip.Addr            { return netip.Addr{} }

// span is an entry. There may be millions, so it has no more than it needs.
type span[E extent[E]] struct {
	extent E
	entry  uint32 // its number in the list, and isException
}

// isException is the lowest bit of span.entry. The numbers above it are in the order of the lines.
const isException = 1

func (s span[E]) id() uint32        { return s.entry >> 1 }
func (s span[E]) isException() bool { return s.entry&isException != 0 }

func (s span[E]) isEqual(o span[E]) bool { return s.extent == o.extent }

// compareSpans sorts by the first address, wider ones before narrower ones, and equal ones by their lines.
func compareSpans[E extent[E]](a, b span[E]) int {
	if c := a.extent.compareBegin(b.extent); c != 0 {
		return c
	}
	if c := b.extent.compareEnd(a.extent); c != 0 {
		return c
	}
	return cmp.Compare(a.entry, b.entry)
}

func sortSpans[E extent[E]](spans []span[E]) {
	if !slices.IsSortedFunc(spans, compareSpans) { // as many files are
		slices.SortFunc(spans, compareSpans)
	}
}

// marks is a set of indexes.
type marks []uint64

func (m marks) has(i int) bool { return m[i/64]>>(i%64)&1 != 0 }
func (m marks) set(i int)      { m[i/64] |= 1 << (i % 64) }

// text returns the entry in its normal spelling.
func text[E extent[E]](c *checked, s span[E]) string {
	if from := s.extent.first(); from.IsValid() {
		return iptable.Item{Exception: s.isException(), From: from, To: s.extent.last()}.String()
	}
	return c.table.Entry(int32(s.id()), netip.Addr{}).Text
}

// lastsAsLong reports whether entry a of list x lasts as long as entry b of list y.
func lastsAsLong[E extent[E]](x *checked, a span[E], y *checked, b span[E]) bool {
	ends, ok := x.table.Expiry(int32(a.id()))
	if !ok {
		return true
	}
	other, ok := y.table.Expiry(int32(b.id()))
	return ok && ends >= other
}
