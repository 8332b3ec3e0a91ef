package feed

import (
	"fmt"
	"net/netip"
	"slices"

	"ehlogate/lists/answer"
	"ehlogate/lists/diag"
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
	other [4]byte // an answer that was not chosen
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

// yield yields all entries, in the order of their lines. It is an error if there are answers and none was chosen, as after
// a typing mistake in the config.
func (r *ranks) yield(l *listfile.Lines, filter answer.Filter) {
	wasChosen := func(it rankedItem) bool { return it.rank == isChosen }
	if filter != (answer.Filter{}) && r.other != ([4]byte{}) && !slices.ContainsFunc(r.items, wasChosen) {
		l.Problems.Add(diag.Problem{File: l.Name, Msg: fmt.Sprintf("no entry has an answer that is in answer = %q of the list; there is %s", filter, netip.AddrFrom4(r.other)),
			Hint: "correct answer in the config"})
		return
	}
	slices.SortStableFunc(r.items, func(a, b rankedItem) int { return a.Line - b.Line })
	for _, it := range r.items {
		it.Exception = !wasChosen(it)
		l.Yield(it.Item)
	}
}
