package export

import (
	"bufio"
	"context"
	"fmt"
	"io"
)

// maxAccessLines bounds the access map. A policy that needs more lines has borders that do not fit the keys of the map.
const maxAccessLines = 1_000_000

// WriteSendmailAccess writes lines for Sendmail's access map (cf/README, "Access Database", tag Srv_Features), which the
// ruleset srv_features looks up once a connection. Its keys are whole octets, in IPv6 groups of 16 bits, and the longest
// key that matches counts. So a network with other borders takes a line for each of its parts. It fails as
// WritePostfixCIDR does, and if the map would have more than a million lines.
func (p *Policy) WriteSendmailAccess(ctx context.Context, w io.Writer) error {
	if err := p.checkExportable(); err != nil {
		return err
	}
	p = p.withoutDNSAnswers()
	def := p.suppressesByDefault()
	var trees []*octetTree
	lines := 0
	for _, t := range buildOctetTrees(p.decidedRanges(ctx, isSuppressed)) {
		trees = append(trees, t)
		lines += t.cost[boolIndex(def)]
	}
	if lines > maxAccessLines {
		return fmt.Errorf("the access map of Sendmail has networks of whole octets, in IPv6 of groups of 16 bits: "+
			"this policy would take %d lines, the limit is %d; use networks with such borders (/16, /24; /48, /64)",
			lines, maxAccessLines)
	}
	out := bufio.NewWriter(w)
	p.writeHeader(out, "sendmail-access", `for the access map, FEATURE(access_db): "makemap hash /etc/mail/access </etc/mail/access" after every change.`,
		"IPv6 is spelled as with confUSE_COMPRESSED_IPV6_ADDRESSES at False, the default of Sendmail. Submission uses the",
		"same map, and passwords would go in the clear, unless sendmail.mc ends with this:",
		"    LOCAL_SRV_FEATURES",
		"    R$*\t$: $&{daemon_port}",
		"    R25\t$@ OK",
		"    R$*\t$# s")
	if def {
		fmt.Fprintf(out, "Srv_Features:\tS\n")
	}
	for _, t := range trees {
		t.visitLines(def, func(key string, suppress bool) {
			fmt.Fprintf(out, "Srv_Features:%s\t%s\n", key, [...]string{"s", "S"}[boolIndex(suppress)])
		})
	}
	return out.Flush()
}

func boolIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}
