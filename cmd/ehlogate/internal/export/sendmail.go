package export

import (
	"bufio"
	"context"
	"fmt"
	"io"
)

// maxAccess is how many lines an access map may have: what takes more has
// borders that do not fit its keys.
const maxAccess = 1_000_000

// SendmailAccess writes lines for Sendmail's access map (cf/README, "Access
// Database", tag Srv_Features), which the ruleset srv_features asks once a
// connection. It knows addresses by whole octets, and IPv6 by groups of 16 bits,
// and the longest match counts, so a network with other borders takes a line for
// each part of it. It fails as PostfixCIDR does, and if that makes more than a
// million lines.
func (p *Policy) SendmailAccess(ctx context.Context, w io.Writer) error {
	if err := p.check(); err != nil {
		return err
	}
	p = p.static()
	def := p.suppressesByDefault()
	var trees []*octets
	lines := 0
	for _, t := range octetTrees(p.ranges(ctx, suppressed)) {
		trees = append(trees, t)
		lines += t.cost[index(def)]
	}
	if lines > maxAccess {
		return fmt.Errorf("the access map of Sendmail knows networks by whole octets, and in IPv6 by groups of 16 bits: "+
			"this policy would take %d lines there, and no more than %d are written; use networks with such borders (/16, /24; /48, /64)",
			lines, maxAccess)
	}
	out := bufio.NewWriter(w)
	p.header(out, "sendmail-access", `for the access map, FEATURE(access_db): "makemap hash /etc/mail/access </etc/mail/access" after every change.`,
		"IPv6 is spelled as with confUSE_COMPRESSED_IPV6_ADDRESSES at False, the default of Sendmail. Submission asks the",
		"same map, and passwords would go in the clear, unless this stands at the end of sendmail.mc:",
		"    LOCAL_SRV_FEATURES",
		"    R$*\t$: $&{daemon_port}",
		"    R25\t$@ OK",
		"    R$*\t$# s")
	if def {
		fmt.Fprintf(out, "Srv_Features:\tS\n")
	}
	for _, t := range trees {
		t.walk(def, func(key string, suppress bool) {
			fmt.Fprintf(out, "Srv_Features:%s\t%s\n", key, [...]string{"s", "S"}[index(suppress)])
		})
	}
	return out.Flush()
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}
