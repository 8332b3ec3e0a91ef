// Package prefixset has small fixed sets of prefixes, such as the special-purpose addresses of IANA.
package prefixset

import (
	"iter"
	"net/netip"
	"slices"
)

// Set is a set of prefixes. It is not changed after New.
type Set struct {
	prefixes []netip.Prefix
	begins   [2][256]bool // first octets, by family, so that most addresses are compared with no prefix
}

// New makes a set. It panics if a text is not a prefix.
func New(prefixes ...string) *Set {
	s := new(Set)
	for _, text := range prefixes {
		p := netip.MustParsePrefix(text)
		a := p.Addr().AsSlice()
		first, span := int(a[0]), 1
		if p.Bits() < 8 {
			span = 1 << (8 - p.Bits())
		}
		for n := first; n < first+span; n++ {
			s.begins[len(a)/16][n] = true
		}
		s.prefixes = append(s.prefixes, p)
	}
	return s
}

// Contains reports whether addr, which is unmapped, is in one of the prefixes.
func (s *Set) Contains(addr netip.Addr) bool {
	b := addr.As16()
	first := b[0]
	if addr.Is4() {
		first = b[12]
	}
	if !s.begins[addr.BitLen()/128][first] {
		return false
	}
	return slices.ContainsFunc(s.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Boundaries returns the addresses at which Contains can change, in no order.
func (s *Set) Boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, p := range s.prefixes {
			if !yield(p.Addr()) {
				return
			}
			if behind := lastAddr(p).Next(); behind.IsValid() && !yield(behind) {
				return
			}
		}
	}
}

// lastAddr returns the last address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
