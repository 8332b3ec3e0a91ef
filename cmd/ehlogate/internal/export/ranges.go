package export

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
)

// Set gives the addresses of one class: for Offer, those that a list offers
// STARTTLS to, which the default does not make anybody one of; for Suppress and
// Require, all for whom that is decided, by a list or by default. The ranges are
// in order, and no two of them touch. It fails as the tables do, and if a list
// by DNS keeps others with this action from being reached: the set would lack
// what they hold.
func (p *Policy) Set(ctx context.Context, action lists.Action) ([]netipx.IPRange, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var ends *lists.List
	fed := false
	for i, l := range p.Policy.Lists {
		fed = fed || l.Mode == lists.Enforce && l.Action == action
		switch {
		case l.Mode == lists.Observe:
		case p.Sources[i] == nil && l.Action != lists.Suppress && ends == nil:
			ends = l // what would not answer ends the walk
		case p.Sources[i] != nil && l.Action == action && ends != nil:
			return nil, fmt.Errorf("list %q is asked by DNS, and without it nobody is known to get as far as list %q: put %[2]q before it in the config",
				ends.Name, l.Name)
		}
	}
	if !fed && (action == lists.Offer || p.Policy.Default != action) {
		return nil, fmt.Errorf("no list that is enforced has action = %q, so the set would be empty: for one that is to be empty, have a list of comments", action)
	}
	ranges := p.static().ranges(ctx, func(d lists.Decision) bool {
		return d.Action == action && (action != lists.Offer || d.Reason == lists.ReasonListed)
	})
	if len(ranges) == 0 {
		for i, l := range p.Policy.Lists {
			if p.Sources[i] == nil && l.Mode == lists.Enforce && l.Action == action {
				return nil, fmt.Errorf("list %q is asked by DNS, and without it the set would be empty", l.Name)
			}
		}
	}
	return ranges, nil
}

func suppressed(d lists.Decision) bool { return d.Action == lists.Suppress }

// ranges returns the addresses about which is decided so. Each source, and what finds
// out names, tells at which addresses its answers may change.
func (p *Policy) ranges(ctx context.Context, so func(lists.Decision) bool) []netipx.IPRange {
	starts := []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	for i, l := range p.Policy.Lists {
		if s := p.Sources[i]; s != nil {
			starts = slices.AppendSeq(starts, s.Table().Boundaries())
		} else if s, ok := l.Source.(*dnsbl.List); ok {
			starts = slices.AppendSeq(starts, s.Boundaries())
		}
	}
	if n, ok := p.Policy.Names.(*dnsbl.ReverseDNS); ok {
		starts = slices.AppendSeq(starts, n.Boundaries())
	}
	slices.SortFunc(starts, netip.Addr.Compare) // IPv4 is less than IPv6
	starts = slices.Compact(starts)

	var out []netipx.IPRange
	for i, from := range starts {
		if !so(p.Policy.Decide(ctx, lists.Client{Addr: from})) {
			continue
		}
		to := lastAddr(from)
		if i+1 < len(starts) && starts[i+1].Is4() == from.Is4() {
			to = starts[i+1].Prev()
		}
		if n := len(out); n > 0 && out[n-1].To().Next() == from {
			from = out[n-1].From()
			out = out[:n-1]
		}
		out = append(out, netipx.IPRangeFrom(from, to))
	}
	return out
}

// lastAddr is the last address of a's family.
func lastAddr(a netip.Addr) netip.Addr {
	return netipx.PrefixLastIP(netip.PrefixFrom(a, 0))
}
