package export

import (
	"bufio"
	"context"
	"io"

	"ehlogate/lists"
)

// WriteEximHosts writes a host list for Exim's tls_advertise_hosts (Exim specification, "Host lists"): one item a line,
// the first that matches counts. The last line matches all clients. It fails as WritePostfixCIDR does.
func (p *Policy) WriteEximHosts(ctx context.Context, w io.Writer) error {
	if err := p.checkExportable(); err != nil {
		return err
	}
	p = p.withoutDNSAnswers()
	sign, others := "!", "*"
	if p.suppressesByDefault() {
		sign, others = "", "!*"
	}
	out := bufio.NewWriter(w)
	p.writeHeader(out, "exim-hosts", "the value of tls_advertise_hosts, for port 25 only: on submission ports, passwords would go in the clear",
		"    tls_advertise_hosts = ${if and{{eq{$received_port}{25}}{exists{/etc/exim4/ehlogate.hosts}}}{/etc/exim4/ehlogate.hosts}{*}}",
		"Exim reads it for each client. Without exists, Exim would refuse all clients (421) while the file is missing.")
	for _, r := range p.decidedRanges(ctx, func(d lists.Decision) bool { return isSuppressed(d) == (others == "*") }) {
		for _, prefix := range r.Prefixes() {
			out.WriteString(sign + prefix.String() + "\n")
		}
	}
	out.WriteString(others + "\n")
	return out.Flush()
}
