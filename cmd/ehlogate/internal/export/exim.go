package export

import (
	"bufio"
	"context"
	"io"

	"ehlogate/lists"
)

// EximHosts writes a host list for Exim's tls_advertise_hosts (Exim
// specification, "Host lists"): one item a line, the first that matches counts.
// It is the whole policy; clients on no line are those of the last one. It fails
// as PostfixCIDR does.
func (p *Policy) EximHosts(ctx context.Context, w io.Writer) error {
	if err := p.check(); err != nil {
		return err
	}
	p = p.static()
	sign, others := "!", "*"
	if p.suppressesByDefault() {
		sign, others = "", "!*"
	}
	out := bufio.NewWriter(w)
	p.header(out, "exim-hosts", "the value of tls_advertise_hosts, for port 25 only: passwords of submission would go in the clear",
		"    tls_advertise_hosts = ${if and{{eq{$received_port}{25}}{exists{/etc/exim4/ehlogate.hosts}}}{/etc/exim4/ehlogate.hosts}{*}}",
		"Exim reads it for each client. Without exists, a file that is missing would have it refuse everybody (421).")
	for _, r := range p.ranges(ctx, func(d lists.Decision) bool { return suppressed(d) == (others == "*") }) {
		for _, prefix := range r.Prefixes() {
			out.WriteString(sign + prefix.String() + "\n")
		}
	}
	out.WriteString(others + "\n")
	return out.Flush()
}
