package export

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// WritePostfixCIDR writes a cidr_table(5) for smtpd_discard_ehlo_keyword_address_maps. If the table cannot express the
// policy, it writes nothing and returns why; entries about names are *diag.Problems.
func (p *Policy) WritePostfixCIDR(ctx context.Context, w io.Writer) error {
	if err := p.checkExportable(); err != nil {
		return err
	}
	p = p.withoutDNSAnswers()
	words := policyd.NewKeywords(p.Config.AlwaysHide, true)
	value, others := words.Suppress, ""
	if p.suppressesByDefault() {
		value, others = words.Offer, words.Suppress
	}
	out := bufio.NewWriter(w)
	p.writeHeader(out, "postfix-cidr", `run "postfix reload" after every change: a running smtpd does not notice it`)
	for _, r := range p.decidedRanges(ctx, func(d lists.Decision) bool { return isSuppressed(d) == (others == "") }) {
		for _, prefix := range r.Prefixes() {
			fmt.Fprintf(out, "%s\t%s\n", prefix, value)
		}
	}
	if others != "" {
		fmt.Fprintf(out, "0.0.0.0/0\t%[1]s\n::/0\t%[1]s\n", others)
	}
	return out.Flush()
}

// suppressesByDefault reports whether clients on no list are not offered STARTTLS. Then the table lists the other clients.
func (p *Policy) suppressesByDefault() bool {
	return p.Policy.Default == lists.Suppress && p.Policy.Mode == lists.Enforce && p.Policy.Guard == nil
}
