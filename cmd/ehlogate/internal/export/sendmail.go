package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"ehlogate/lists"
	"ehlogate/policyd/socketmap"
)

// maxAccessLines bounds the access map. A policy that needs more lines has borders that do not fit the keys of the map.
const maxAccessLines = 1_000_000

// WriteSendmailAccess writes lines for Sendmail's access map (cf/README, "Access Database", tag Srv_Features), which the
// ruleset srv_features looks up once a connection. Its keys are whole octets, in IPv6 groups of 16 bits, and the longest
// key that matches counts. So a network with other borders takes a line for each of its parts. It fails as
// WritePostfixCIDR does, if Sendmail cannot hide a keyword, and if the map would have more than a million lines.
func (p *Policy) WriteSendmailAccess(ctx context.Context, out io.Writer) error {
	p, err := p.reduceToTable()
	if err != nil {
		return err
	}
	if p.Service != lists.SMTP {
		return errors.New("the access map of Sendmail is the same for all services: --service is for the formats of Postfix")
	}
	for _, l := range p.Policy.Lists {
		if cannot := l.Hide &^ socketmap.FeatureKeywords &^ lists.SilentDiscard; cannot != 0 && l.Mode == lists.Enforce && l.Services.Has(lists.SMTP) {
			return fmt.Errorf("list %q hides %s, which Sendmail cannot do for some clients only: it can hide %s", l.Name, cannot, socketmap.FeatureKeywords)
		}
	}
	table, letters := p.newAccessTable(ctx)
	if len(letters) > maxValues {
		return fmt.Errorf("the lists hide keywords in %d combinations, and the access map can have %d", len(letters), maxValues)
	}
	const byDefault = 0
	lines := 0
	for _, family := range families {
		lines += table.countLines(family, table.ranges)[byDefault]
	}
	if lines > maxAccessLines {
		return fmt.Errorf("the access map of Sendmail has networks of whole octets, in IPv6 of groups of 16 bits: "+
			"this policy would take %d lines, the limit is %d; use networks with such borders (/16, /24; /48, /64)",
			lines, maxAccessLines)
	}
	p.writeHeader(out, "sendmail-access", `for the access map, FEATURE(access_db): "makemap hash /etc/mail/access </etc/mail/access" after every change.`,
		"IPv6 is spelled as with confUSE_COMPRESSED_IPV6_ADDRESSES at False, the default of Sendmail. Submission uses the",
		"same map, and passwords would go in the clear, unless sendmail.mc ends with this:",
		"    LOCAL_SRV_FEATURES",
		"    R$*\t$: $&{daemon_port}",
		"    R25\t$@ OK",
		"    R$*\t$# s")
	if letters[byDefault] != "" {
		fmt.Fprintf(out, "Srv_Features:\t%s\n", letters[byDefault])
	}
	for _, family := range families {
		table.visitLines(family, table.ranges, byDefault, func(key string, value int) {
			fmt.Fprintf(out, "Srv_Features:%s\t%s\n", key, cmp.Or(letters[value], "s"))
		})
	}
	return nil
}

var families = []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

func lettersOf(d *lists.Decision) string {
	return string(socketmap.AppendFeatures(nil, lists.SMTP, d))
}

// newAccessTable returns the table of a policy, and the letters that its values stand for: 0 for those of clients on no
// list.
func (p *Policy) newAccessTable(ctx context.Context) (t octetTable, letters []string) {
	letters = []string{lettersOf(p.decideUnlisted())}
	t = octetTable{own: make(map[netip.Prefix]ownLine)}
	t.ranges = slices.Collect(decideRanges(ctx, p, func(d *lists.Decision) int {
		of := lettersOf(d)
		i := slices.Index(letters, of)
		if i < 0 {
			i = len(letters)
			letters = append(letters, of)
		}
		return i
	}))
	t.values = len(letters)
	return t, letters
}
