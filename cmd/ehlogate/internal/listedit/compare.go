package listedit

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math/big"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
)

// Change is what an edit changes in the same way for some addresses and names.
type Change struct {
	Before, After Outcome
	Addresses     *big.Int         // how many
	IPv4          *big.Int         // of them
	Ranges        []netipx.IPRange // the largest, the first of them first
	Names         []string         // the first entries about names

	names int // how many
}

// maxShown is how many ranges and names of a change are shown.
const maxShown = 3

// compare returns what changes for the clients that some entries match, the largest change first. Addresses for which nothing
// changes are among them, as a Change with equal outcomes. It decides once for each range of addresses between two
// boundaries.
func (ps *policies) compare(items []iptable.Item) []*Change {
	all := changes{}
	var b netipx.IPSetBuilder
	for i := range items {
		it := &items[i]
		if it.Kind == iptable.Address {
			b.AddRange(netipx.IPRangeFrom(it.From, it.To))
			continue
		}
		c := probe(it)
		all.of(ps, c).addName(it.String())
	}
	set, err := b.IPSet()
	if err != nil {
		panic(err) // an entry with ends in two families
	}
	var last *Change
	var open netipx.IPRange // of last
	for r := range cutRanges(set.Ranges(), ps.boundaries()) {
		c := all.of(ps, lists.Client{Addr: r.From()})
		if c == last && open.To().Next() == r.From() {
			open = netipx.IPRangeFrom(open.From(), r.To())
			continue
		}
		last.addRange(open)
		last, open = c, r
	}
	last.addRange(open)
	return slices.SortedFunc(maps.Values(all), func(a, b *Change) int {
		return cmp.Or(b.Addresses.Cmp(a.Addresses), cmp.Compare(b.names, a.names), cmp.Compare(a.String(), b.String()))
	})
}

type outcomes struct{ before, after Outcome }

type changes map[outcomes]*Change

// of returns the change that a client is part of.
func (all changes) of(ps *policies, c lists.Client) *Change {
	before, _ := ps.before.decide(c)
	after, _ := ps.after.decide(c)
	key := outcomes{before, after}
	if all[key] == nil {
		all[key] = &Change{Before: before, After: after, Addresses: new(big.Int), IPv4: new(big.Int)}
	}
	return all[key]
}

// IsNone reports whether nothing changes.
func (c *Change) IsNone() bool { return c.Before == c.After }

func (c *Change) String() string {
	if c.IsNone() {
		return "no change"
	}
	return fmt.Sprintf("%v -> %v", c.Before, c.After)
}

func (c *Change) addName(name string) {
	if c.names++; len(c.Names) < maxShown {
		c.Names = append(c.Names, name)
	}
}

// addRange adds a range to a change, which may be nil.
func (c *Change) addRange(r netipx.IPRange) {
	if c == nil {
		return
	}
	size := sizeOf(r)
	if c.Addresses.Add(c.Addresses, size); r.From().Is4() {
		c.IPv4.Add(c.IPv4, size)
	}
	at := slices.IndexFunc(c.Ranges, func(have netipx.IPRange) bool { return sizeOf(have).Cmp(size) < 0 })
	if at < 0 {
		at = len(c.Ranges)
	}
	c.Ranges = slices.Insert(c.Ranges, at, r)
	c.Ranges = c.Ranges[:min(len(c.Ranges), maxShown)]
}

// sizeOf returns the number of addresses of a range.
func sizeOf(r netipx.IPRange) *big.Int {
	from, to := new(big.Int).SetBytes(r.From().AsSlice()), new(big.Int).SetBytes(r.To().AsSlice())
	return to.Add(to.Sub(to, from), big.NewInt(1))
}

// cutRanges cuts ranges at boundaries. Both are in order.
func cutRanges(ranges []netipx.IPRange, boundaries iter.Seq[netip.Addr]) iter.Seq[netipx.IPRange] {
	return func(yield func(netipx.IPRange) bool) {
		next, stop := func() (netip.Addr, bool) { return netip.Addr{}, false }, func() {}
		if slices.ContainsFunc(ranges, func(r netipx.IPRange) bool { return r.From() != r.To() }) {
			next, stop = iter.Pull(boundaries)
		}
		defer stop()
		at, ok := next()
		for _, r := range ranges {
			from := r.From()
			for ; ok && at.Compare(r.To()) <= 0; at, ok = next() {
				if from.Less(at) {
					if !yield(netipx.IPRangeFrom(from, at.Prev())) {
						return
					}
					from = at
				}
			}
			if !yield(netipx.IPRangeFrom(from, r.To())) {
				return
			}
		}
	}
}
