package export

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
)

// learnedClients are the clients that a list learned by now.
type learnedClients map[netip.Addr]struct{}

// Lookup implements [lists.Source].
func (l learnedClients) Lookup(c lists.Client) lists.Match {
	if _, ok := l[c.Addr]; ok {
		return lists.Match{Status: lists.Matched}
	}
	return lists.Match{}
}

// Entry implements [lists.Describer].
func (learnedClients) Entry(_ int32, addr netip.Addr) lists.Entry {
	return lists.Entry{Text: addr.String()}
}

// boundaries returns the addresses at which the answer may change, in order.
func (l learnedClients) boundaries() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, addr := range slices.SortedFunc(maps.Keys(l), netip.Addr.Compare) {
			next := addr.Next()
			if _, follows := l[next]; !yield(addr) || next.IsValid() && !follows && !yield(next) {
				return
			}
		}
	}
}

// SetLearned gives the fallback list with an action the clients that the daemon learned and that count by now.
func (p *Policy) SetLearned(action lists.Action, clients []netip.Addr) {
	learned := learnedClients{}
	for _, addr := range clients {
		learned[addr] = struct{}{}
	}
	for i, l := range p.Policy.Lists {
		if c := p.Config.Lists[i]; c.Learn != config.LearnFallback || c.Action != action || c.Mode != lists.Enforce {
			continue
		}
		list := *l
		list.Source, list.Sessions, list.Mode = learned, nil, lists.Enforce
		p.Policy.Lists[i] = &list
	}
	p.others = nil
}
