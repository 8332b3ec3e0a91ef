package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"ehlogate/lists"
)

// EximKeywords are the keywords that Exim can hide from some clients, by an option such as dsn_advertise_hosts.
var EximKeywords = lists.MustParseKeyword("auth") | lists.MustParseKeyword("chunking") | lists.MustParseKeyword("dsn") |
	lists.MustParseKeyword("pipelining") | lists.MustParseKeyword("smtputf8")

// WriteEximHosts writes a host list for Exim's tls_advertise_hosts, or for its kin of p.Keyword (Exim specification, "Host
// lists"): one item a line, the first that matches counts. The last line matches all clients. It fails as WritePostfixCIDR
// does.
func (p *Policy) WriteEximHosts(ctx context.Context, out io.Writer) error {
	p, err := p.reduceToTable()
	if err != nil {
		return err
	}
	if p.Keyword != 0 && p.Keyword&EximKeywords == 0 {
		return fmt.Errorf("no option of Exim hides %s from some clients: there are options for %s", p.Keyword, EximKeywords)
	}
	if p.Service != lists.SMTP {
		return errors.New("one host list of Exim is for all services: --service is for the formats of Postfix")
	}
	isHidden := func(d *lists.Decision) bool {
		if p.Keyword != 0 {
			return d.Hide().Has(p.Keyword)
		}
		return d.Action == lists.Suppress
	}
	option, file := "tls_advertise_hosts", "/etc/exim4/ehlogate.hosts"
	if p.Keyword != 0 {
		option, file = p.Keyword.String()+"_advertise_hosts", "/etc/exim4/ehlogate-"+p.Keyword.String()+".hosts"
	}
	sign, others, hiddenByDefault := "!", "*", p.Keyword == 0 && p.suppressesByDefault()
	if hiddenByDefault {
		sign, others = "", "!*"
	}
	why := ": on submission ports, passwords would go in the clear"
	if p.Keyword != 0 {
		why = ""
	}
	p.writeHeader(out, "exim-hosts", "the value of "+option+", for port 25 only"+why,
		"    "+option+" = ${if and{{eq{$received_port}{25}}{exists{"+file+"}}}{"+file+"}{*}}",
		"Exim reads it for each client. Without exists, Exim would refuse all clients (421) while the file is missing.")
	var prefixes []netip.Prefix
	for _, r := range p.decidedRanges(ctx, func(d *lists.Decision) bool { return isHidden(d) != hiddenByDefault }) {
		prefixes = r.AppendPrefixes(prefixes)
	}
	for _, prefix := range prefixes {
		fmt.Fprintf(out, "%s%s\n", sign, prefix)
	}
	fmt.Fprintln(out, others)
	return nil
}
