package export

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/lists"
	"ehlogate/policyd"
)

// WriteTable writes a table in a format that needs no action.
func (p *Policy) WriteTable(ctx context.Context, format string, out *bytes.Buffer) error {
	switch format {
	case "postfix-cidr":
		return p.WritePostfixCIDR(ctx, out)
	case "sendmail-access":
		return p.WriteSendmailAccess(ctx, out)
	case "exim-hosts":
		return p.WriteEximHosts(ctx, out)
	}
	return fmt.Errorf("unknown format %q", format)
}

// WritePostfixCIDR writes a cidr_table(5) for smtpd_discard_ehlo_keyword_address_maps. If the table cannot express the
// policy, it writes nothing and returns why; entries about names are *diag.Problems.
func (p *Policy) WritePostfixCIDR(ctx context.Context, out *bytes.Buffer) error {
	p, err := p.reduceToTable()
	if err != nil {
		return err
	}
	words := policyd.NewValues(p.Config.AlwaysHide, true)
	value, others := words.Suppress, ""
	if p.suppressesByDefault() {
		value, others = words.Offer, words.Suppress
	}
	p.writeHeader(out, "postfix-cidr", `run "postfix reload" after every change: a running smtpd does not notice it`)
	for _, prefix := range p.exceptionsToDefault(ctx) {
		fmt.Fprintf(out, "%s\t%s\n", prefix, value)
	}
	if others != "" {
		fmt.Fprintf(out, "0.0.0.0/0\t%[1]s\n::/0\t%[1]s\n", others)
	}
	return nil
}

// suppressesByDefault reports whether clients on no list are not offered STARTTLS. Then the table lists the other clients.
func (p *Policy) suppressesByDefault() bool {
	return p.Policy.Default == lists.Suppress && p.Policy.Mode == lists.Enforce && p.Policy.Guard == nil
}

// exceptionsToDefault returns the addresses to which suppressesByDefault does not apply.
func (p *Policy) exceptionsToDefault(ctx context.Context) (prefixes []netip.Prefix) {
	byDefault := p.suppressesByDefault()
	for _, r := range p.decidedRanges(ctx, func(d lists.Decision) bool { return isSuppressed(d) != byDefault }) {
		prefixes = r.AppendPrefixes(prefixes)
	}
	return prefixes
}

// WriteEximHosts writes a host list for Exim's tls_advertise_hosts (Exim specification, "Host lists"): one item a line,
// the first that matches counts. The last line matches all clients. It fails as WritePostfixCIDR does.
func (p *Policy) WriteEximHosts(ctx context.Context, out *bytes.Buffer) error {
	p, err := p.reduceToTable()
	if err != nil {
		return err
	}
	sign, others := "!", "*"
	if p.suppressesByDefault() {
		sign, others = "", "!*"
	}
	p.writeHeader(out, "exim-hosts", "the value of tls_advertise_hosts, for port 25 only: on submission ports, passwords would go in the clear",
		"    tls_advertise_hosts = ${if and{{eq{$received_port}{25}}{exists{/etc/exim4/ehlogate.hosts}}}{/etc/exim4/ehlogate.hosts}{*}}",
		"Exim reads it for each client. Without exists, Exim would refuse all clients (421) while the file is missing.")
	for _, prefix := range p.exceptionsToDefault(ctx) {
		fmt.Fprintf(out, "%s%s\n", sign, prefix)
	}
	fmt.Fprintln(out, others)
	return nil
}

// maxAccessLines bounds the access map. A policy that needs more lines has borders that do not fit the keys of the map.
const maxAccessLines = 1_000_000

// WriteSendmailAccess writes lines for Sendmail's access map (cf/README, "Access Database", tag Srv_Features), which the
// ruleset srv_features looks up once a connection. Its keys are whole octets, in IPv6 groups of 16 bits, and the longest
// key that matches counts. So a network with other borders takes a line for each of its parts. It fails as
// WritePostfixCIDR does, and if the map would have more than a million lines.
func (p *Policy) WriteSendmailAccess(ctx context.Context, out *bytes.Buffer) error {
	p, err := p.reduceToTable()
	if err != nil {
		return err
	}
	suppressed, byDefault := p.decidedRanges(ctx, isSuppressed), p.suppressesByDefault()
	table := make(octetTable)
	families := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	lines := 0
	for _, family := range families {
		lines += table.countLines(family, suppressed)[boolIndex(byDefault)]
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
	if byDefault {
		fmt.Fprintf(out, "Srv_Features:\tS\n")
	}
	for _, family := range families {
		table.visitLines(family, suppressed, byDefault, func(key string, suppress bool) {
			fmt.Fprintf(out, "Srv_Features:%s\t%s\n", key, [...]string{"s", "S"}[boolIndex(suppress)])
		})
	}
	return nil
}

// WriteNFT writes a script that replaces the elements of two sets of nftables, one for each family, by the addresses with
// this action. It is for "nft -f", or for an include behind the table. It fails as Addresses does.
func (p *Policy) WriteNFT(ctx context.Context, out *bytes.Buffer, action lists.Action, set nft.Set) error {
	ranges, err := p.Addresses(ctx, action)
	if err != nil {
		return err
	}
	p.writeHeader(out, "nft --action "+action.String(), fmt.Sprintf("for nft -f: replaces the elements of the sets %s4 and %s6", set, set.Name))
	out.WriteString(set.Script(ranges))
	return nil
}
