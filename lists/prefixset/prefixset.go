// Package prefixset has small fixed sets of prefixes, such as the special-purpose addresses of IANA.
package prefixset

import (
	"iter"
	"net/netip"

	"go4.org/netipx"
)

// Set is a set of prefixes. It is not changed after New.
type Set struct{ *netipx.IPSet }

// New makes a set. It panics if a text is not a prefix.
func New(prefixes ...string) *Set {
	var b netipx.IPSetBuilder
	for _, text := range prefixes {
		b.AddPrefix(netip.MustParsePrefix(text))
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err)
	}
	return &Set{set}
}

// Boundaries returns the addresses at which Contains can change, in order.
func (s *Set) Boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, r := range s.Ranges() {
			if behind := r.To().Next(); !yield(r.From()) || behind.IsValid() && !yield(behind) {
				return
			}
		}
	}
}
