package export

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// PostfixCIDR writes a cidr_table(5) for
// smtpd_discard_ehlo_keyword_address_maps. Nothing is written if the policy
// cannot be expressed; then the error says why, each entry that is in the way
// being one of *file.Problems.
func (p *Policy) PostfixCIDR(ctx context.Context, w io.Writer) error {
	if err := p.check(); err != nil {
		return err
	}
	p = p.static()
	words := policyd.NewKeywords(p.Config.AlwaysHide, true)
	value, others := words.Suppress, ""
	if p.suppressesByDefault() {
		value, others = words.Offer, words.Suppress
	}
	out := bufio.NewWriter(w)
	p.header(out, "postfix-cidr", `run "postfix reload" after every change: a running smtpd does not notice it`)
	for _, r := range p.ranges(ctx, func(d lists.Decision) bool { return suppressed(d) == (others == "") }) {
		for _, prefix := range r.Prefixes() {
			fmt.Fprintf(out, "%s\t%s\n", prefix, value)
		}
	}
	if others != "" {
		fmt.Fprintf(out, "0.0.0.0/0\t%[1]s\n::/0\t%[1]s\n", others)
	}
	return out.Flush()
}

// suppressesByDefault is true if STARTTLS is hidden from who is on no list, so
// that the others are fewer.
func (p *Policy) suppressesByDefault() bool {
	return p.Policy.Default == lists.Suppress && p.Policy.Mode == lists.Enforce && p.Policy.Guard == nil
}
