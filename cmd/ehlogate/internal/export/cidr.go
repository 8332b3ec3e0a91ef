package export

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"

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
	values := policyd.NewValues(p.Config.AlwaysHide, true)
	valueOf := func(d *lists.Decision) string { return string(values.Append(nil, p.Service, d)) }
	offer, byDefault := valueOf(&lists.Decision{}), valueOf(p.decideUnlisted())
	p.writeHeader(out, "postfix-cidr", `run "postfix reload" after every change: a running smtpd does not notice it`)
	var lines [2][]cidrLine // by family
	for _, r := range decideRanges(ctx, p, valueOf) {
		family := &lines[boolIndex(r.From().Is6())]
		for _, prefix := range r.Prefixes() {
			*family = append(*family, cidrLine{prefix, r.value})
		}
	}
	var others [2]string
	for i, family := range lines {
		others[i] = chooseOthers(family, byDefault)
		for _, l := range family {
			if l.value != others[i] {
				fmt.Fprintf(out, "%s\t%s\n", l.prefix, l.value)
			}
		}
	}
	for i, all := range []string{"0.0.0.0/0", "::/0"} {
		if others[i] != offer {
			fmt.Fprintf(out, "%s\t%s\n", all, others[i])
		}
	}
	return nil
}

type cidrLine struct {
	prefix netip.Prefix
	value  string
}

// chooseOthers returns the value for the addresses that need no line of their own: that of the default, unless another one
// makes the table less than half as long.
func chooseOthers(lines []cidrLine, byDefault string) (others string) {
	count := make(map[string]int)
	for _, l := range lines {
		count[l.value]++
	}
	others = byDefault
	for _, l := range lines {
		if len(lines)-count[l.value] < (len(lines)-count[others]+1)/2 {
			others = l.value
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
