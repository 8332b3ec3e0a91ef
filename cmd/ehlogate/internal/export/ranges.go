package export

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/iprev"
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
func decideRanges[T comparable](ctx context.Context, p *Policy, valueOf func(*lists.Decision) T) (out []decidedRange[T]) {
	starts := p.findBoundaries()
	for i, from := range starts {
		d := p.Policy.Decide(ctx, lists.Client{Addr: from, Service: p.Service})
		value := valueOf(&d)
		to := netipx.PrefixLastIP(netip.PrefixFrom(from, 0))
		if i+1 < len(starts) && starts[i+1].Is4() == from.Is4() {
			to = starts[i+1].Prev()
		}
		if n := len(out); n > 0 && out[n-1].value == value && out[n-1].To().Next() == from {
			from = out[n-1].From()
			out = out[:n-1]
		}
		out = append(out, decidedRange[T]{netipx.IPRangeFrom(from, to), value})
	}
	return out
}

// findBoundaries returns the first addresses of the ranges within which all decisions are the same, in order.
func (p *Policy) findBoundaries() []netip.Addr {
	starts := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for i, l := range p.Policy.Lists {
		if s := p.Sources[i]; s != nil {
			starts = slices.AppendSeq(starts, s.Table().Boundaries())
		} else if s, ok := l.Source.(*dnsbl.List); ok {
			starts = slices.AppendSeq(starts, s.Boundaries())
		} else if s, ok := l.Source.(learnedClients); ok {
			for addr := range s {
				if starts = append(starts, addr); addr.Next().IsValid() {
					starts = append(starts, addr.Next())
				}
			}
		}
	}
	if n, ok := p.Policy.Names.(*iprev.Verifier); ok {
		starts = slices.AppendSeq(starts, n.Boundaries())
	}
	slices.SortFunc(starts, netip.Addr.Compare) // IPv4 is less than IPv6
	return slices.Compact(starts)
}

// decidedRanges returns the addresses with a decision that satisfies a condition.
func (p *Policy) decidedRanges(ctx context.Context, matches func(*lists.Decision) bool) (out []netipx.IPRange) {
	for _, r := range decideRanges(ctx, p, matches) {
		if r.value {
			out = append(out, r.IPRange)
		}
	}
	return out
}
