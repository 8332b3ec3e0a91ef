package export

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/iprev"
	"ehlogate/lists/iptable"
)

// Addresses returns the addresses with an action. For Offer these are the addresses that a list offers STARTTLS to; the
// default adds none. For Suppress, Require and Legacy these are all addresses with this decision, by a list or by default.
// The ranges are in order, and no two of them touch.
//
// It fails if a table cannot express the policy, if no list could fill the set, and if a DNS list comes before a list
// with this action: the set would lack the entries of that list.
func (p *Policy) Addresses(ctx context.Context, action lists.Action) ([]netipx.IPRange, error) {
	p, err := p.reduceToTable()
	if err != nil {
		return nil, err
	}
	var ends *lists.List
	filled := false
	for i, l := range p.Policy.Lists {
		_, hasClients := l.Source.(learnedClients)
		filled = filled || l.Mode == lists.Enforce && l.Action == action && (hasClients || !p.isLearned(i))
		switch {
		case l.Mode == lists.Observe, p.isLearned(i):
		case p.Sources[i] == nil && l.Action != lists.Suppress && l.Action != lists.NoAction && ends == nil:
			ends = l // unavailable, it ends the walk
		case p.Sources[i] != nil && l.Action == action && ends != nil:
			return nil, fmt.Errorf("list %q is a DNS list: without it no client is known to get as far as list %q: put %[2]q before it in the config",
				ends.Name, l.Name)
		}
	}
	if !filled && (action == lists.Offer || p.Policy.Default != action) {
		return nil, fmt.Errorf("no list that is enforced has action = %q, so the set would be empty: if it is meant to be empty, add a list that contains only a comment", action)
	}
	ranges := p.decidedRanges(ctx, func(d *lists.Decision) bool {
		return d.Action == action && (action != lists.Offer || d.Reason == lists.ReasonListed)
	})
	if len(ranges) == 0 {
		for i, l := range p.Policy.Lists {
			if p.Sources[i] == nil && !p.isLearned(i) && l.Mode == lists.Enforce && l.Action == action {
				return nil, fmt.Errorf("list %q is a DNS list, and without it the set would be empty", l.Name)
			}
		}
	}
	return ranges, nil
}

// decidedRange is a range of addresses for which the decisions have the same value.
type decidedRange[T comparable] struct {
	netipx.IPRange
	value T
}

// decideRanges returns the value of the decision for all addresses. The ranges are in order, and two that touch have
// different values. It decides once for each range between two boundaries: addresses at which the answer of a list, or of
// the lookup of names, may change.
func decideRanges[T comparable](ctx context.Context, p *Policy, valueOf func(*lists.Decision) T) iter.Seq[decidedRange[T]] {
	return func(yield func(decidedRange[T]) bool) {
		var last decidedRange[T]
		var from netip.Addr // where last begins; none: there is none
		var d lists.Decision
		for start := range p.findBoundaries() {
			d = p.Policy.Decide(ctx, lists.Client{Addr: start, Service: p.Service})
			value := valueOf(&d)
			if from.IsValid() && from.Is4() == start.Is4() && last.value == value {
				continue
			}
			if from.IsValid() {
				if last.IPRange = netipx.IPRangeFrom(from, lastBefore(start)); !yield(last) {
					return
				}
			}
			from, last.value = start, value
		}
		last.IPRange = netipx.IPRangeFrom(from, lastBefore(netip.Addr{}))
		yield(last)
	}
}

// lastBefore returns the address before another one; that before the first of IPv6 is the last of IPv4, and the one before
// none is the last of IPv6.
func lastBefore(a netip.Addr) netip.Addr {
	switch a {
	case netip.Addr{}:
		return netipx.PrefixLastIP(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
	case netip.IPv6Unspecified():
		return netipx.PrefixLastIP(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	}
	return a.Prev()
}

// findBoundaries returns the first addresses of the ranges within which all decisions are the same, in order, IPv4 first.
func (p *Policy) findBoundaries() iter.Seq[netip.Addr] {
	longest, length := slices.Values[[]netip.Addr](nil), 0
	others := []iter.Seq[netip.Addr]{slices.Values([]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()})}
	for i, l := range p.Policy.Lists {
		if s := p.Sources[i]; s != nil {
			boundaries := s.Table().Boundaries()
			if n := s.Table().Count(); n > length {
				boundaries, longest, length = longest, boundaries, n
			}
			others = append(others, boundaries)
		} else if s, ok := l.Source.(*dnsbl.List); ok {
			others = append(others, s.Boundaries())
		} else if s, ok := l.Source.(learnedClients); ok {
			others = append(others, s.boundaries())
		}
	}
	if n, ok := p.Policy.Names.(*iprev.Verifier); ok {
		others = append(others, n.Boundaries())
	}
	return iptable.MergeBoundaries(append([]iter.Seq[netip.Addr]{longest}, others...))
}

// decidedRanges returns the addresses with a decision that satisfies a condition.
func (p *Policy) decidedRanges(ctx context.Context, matches func(*lists.Decision) bool) (out []netipx.IPRange) {
	for r := range decideRanges(ctx, p, matches) {
		if r.value {
			out = append(out, r.IPRange)
		}
	}
	return out
}
