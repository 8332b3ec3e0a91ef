package feed

import (
	"net/netip"
	"slices"

	"ehlogate/lists/listfile"
)

// rank is what an entry of rbldnsd says about the answers that an operator chose. rbldnsd returns the values of all equal
// entries, unless one of them is an exclusion. So of equal entries the highest rank counts.
type rank byte

const (
	isOther    rank = iota // its value was not chosen; it hides wider entries
	isChosen               // its value was chosen
	isExcluded             // it is an exclusion
)

// ranks has an item for each key of a file, with its highest rank.
type ranks struct {
	of    map[rankKey]int // in items
	items []rankedItem
}

type rankKey struct {
	from, to netip.Addr
	name     string
}

type rankedItem struct {
	*listfile.Item
	rank rank
}

func (r *ranks) add(it *listfile.Item, rank rank) {
	if r.of == nil {
		r.of = make(map[rankKey]int)
	}
	key := rankKey{it.From, it.To, it.Name}
	if i, ok := r.of[key]; !ok {
		r.of[key] = len(r.items)
		r.items = append(r.items, rankedItem{it, rank})
	} else if rank > r.items[i].rank {
		r.items[i] = rankedItem{it, rank}
	}
}

// yield yields all entries, in the order of their lines.
func (r *ranks) yield(l *listfile.Lines) {
	slices.SortStableFunc(r.items, func(a, b rankedItem) int { return a.Line - b.Line })
	for _, it := range r.items {
		it.Exception = it.rank != isChosen
		l.Yield(it.Item)
	}
}
