package export

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// WritePostfixCIDR writes a cidr_table(5) for smtpd_discard_ehlo_keyword_address_maps. If the table cannot express the
// policy, it writes nothing and returns why; entries about names are *diag.Problems.
func (p *Policy) WritePostfixCIDR(ctx context.Context, out *bytes.Buffer) error {
	p, err := p.reduceToTable()
	if err != nil {
		return err
	}
	values, explicit := policyd.NewValues(p.Config.AlwaysHide, false), policyd.NewValues(p.Config.AlwaysHide, true)
	valueOf := func(d *lists.Decision) string { return string(values.Append(nil, p.Service, d)) }
	byDefault := valueOf(p.decideUnlisted())
	offer := string(explicit.Append(nil, p.Service, &lists.Decision{})) // within a network that has a line
	p.writeHeader(out, "postfix-cidr", `run "postfix reload" after every change: a running smtpd does not notice it`)
	ranges := decideRanges(ctx, p, valueOf)
	v6 := slices.IndexFunc(ranges, func(r decidedRange[string]) bool { return r.From().Is6() })
	var prefixes []netip.Prefix
	var rest bytes.Buffer
	for _, family := range [][]decidedRange[string]{ranges[:v6], ranges[v6:]} {
		others := chooseOthers(family, byDefault)
		for _, r := range family {
			if r.value == others {
				continue
			}
			prefixes = r.AppendPrefixes(prefixes[:0])
			for _, prefix := range prefixes {
				fmt.Fprintf(out, "%s\t%s\n", prefix, cmp.Or(r.value, offer))
			}
		}
		if others != "" {
			fmt.Fprintf(&rest, "%s/0\t%s\n", family[0].From(), others)
		}
	}
	_, err = rest.WriteTo(out)
	return err
}

// fewRanges is up to how many ranges the lines that they take are counted, and not the ranges.
const fewRanges = 10_000

// chooseOthers returns the value for the addresses that need no line of their own: that of the default, unless another one
// makes the table less than half as long.
func chooseOthers(ranges []decidedRange[string], byDefault string) (others string) {
	all, count := 0, make(map[string]int)
	for _, r := range ranges {
		lines := 1
		if len(ranges) <= fewRanges {
			lines = len(r.Prefixes())
		}
		all += lines
		count[r.value] += lines
	}
	others = byDefault
	for _, r := range ranges {
		if all-count[r.value] < (all-count[others]+1)/2 {
			others = r.value
		}
	}
	return others
}

// decideUnlisted returns the decision about clients that are on no list.
func (p *Policy) decideUnlisted() *lists.Decision {
	d := new(lists.Decision)
	if p.suppressesByDefault() {
		d.Action = lists.Suppress
	}
	return d
}

// suppressesByDefault reports whether clients on no list are not offered STARTTLS.
func (p *Policy) suppressesByDefault() bool {
	return p.Policy.Default == lists.Suppress && p.Policy.Mode == lists.Enforce && p.Policy.Guard == nil && p.Service == lists.SMTP
}
