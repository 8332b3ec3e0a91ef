package iptable

import (
	"net/netip"
)

// What the tests see of the inside of a table.

const FullIndexFrom = fullIndexFrom

func (t *Table) HasFullIndex() bool { return t.v4.tops == nil }

// StoredCandidates returns how many entries are stored where the time decides.
func (t *Table) StoredCandidates() int {
	return len(t.tree4.candidates.entries) + len(t.tree6.candidates.entries) + len(t.nameCandidates.entries)
}

func (t *Table) Segments6() int { return len(t.v6.refs) }

func (t *Table) Intervals4() int { return len(t.tree4.intervals) }

// IsExpiring reports whether the time decides about an IPv4 address.
func (t *Table) IsExpiring(a netip.Addr) bool { return t.v4.lookup(key4Of(a))&expiring != 0 }

// LimitTexts lowers the limit on texts until the function that it returns is called.
func LimitTexts(n uint64) (restore func()) {
	old := maxTexts
	maxTexts = n
	return func() { maxTexts = old }
}
