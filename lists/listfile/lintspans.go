package listfile

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"

	"ehlogate/lists/iptable"
)

// number is an address, or the hash of a name, as a number.
type number[K any] interface {
	comparable
	compare(K) int
	toAddr() netip.Addr // invalid for names
}

type (
	number4  [4]byte
	number6  [16]byte
	nameHash uint64
)

func (n number4) compare(o number4) int   { return bytes.Compare(n[:], o[:]) }
func (n number4) toAddr() netip.Addr      { return netip.AddrFrom4(n) }
func (n number6) compare(o number6) int   { return bytes.Compare(n[:], o[:]) }
func (n number6) toAddr() netip.Addr      { return netip.AddrFrom16(n) }
func (n nameHash) compare(o nameHash) int { return cmp.Compare(n, o) }
func (n nameHash) toAddr() netip.Addr     { return netip.Addr{} }

// span is an entry: its first and last address, or twice the hash of its name.
type span[K number[K]] struct {
	from, to K
	entry    uint32 // its number in the list, and isException
}

// isException is the lowest bit of span.entry. The numbers above it are in the order of the lines.
const isException = 1

func (s span[K]) id() uint32        { return s.entry >> 1 }
func (s span[K]) isException() bool { return s.entry&isException != 0 }

func (s span[K]) isEqual(o span[K]) bool { return s.from == o.from && s.to == o.to }

// compareSpans sorts by the first address, wider ones before narrower ones, and equal ones by their lines.
func compareSpans[K number[K]](a, b span[K]) int {
	if c := a.from.compare(b.from); c != 0 {
		return c
	}
	if c := b.to.compare(a.to); c != 0 {
		return c
	}
	return cmp.Compare(a.entry, b.entry)
}

func sortSpans[K number[K]](spans []span[K]) {
	if !slices.IsSortedFunc(spans, compareSpans) { // as many files are
		slices.SortFunc(spans, compareSpans)
	}
}

// marks is a set of indexes.
type marks []uint64

func (m marks) has(i int) bool { return m[i/64]>>(i%64)&1 != 0 }
func (m marks) set(i int)      { m[i/64] |= 1 << (i % 64) }

// text returns the entry in its normal spelling.
func text[K number[K]](c *checked, s span[K]) string {
	if from := s.from.toAddr(); from.IsValid() {
		return iptable.Item{Exception: s.isException(), From: from, To: s.to.toAddr()}.String()
	}
	return c.table.Entry(int32(s.id()), netip.Addr{}).Text
}

// lastsAsLong reports whether entry a of list x lasts as long as entry b of list y.
func lastsAsLong[K number[K]](x *checked, a span[K], y *checked, b span[K]) bool {
	ends, ok := x.table.Expiry(int32(a.id()))
	if !ok {
		return true
	}
	other, ok := y.table.Expiry(int32(b.id()))
	return ok && ends >= other
}
