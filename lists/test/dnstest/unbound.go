package dnstest

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Unbound is a running unbound: a validating resolver of the zones of its upstreams. No other name exists. If an
// upstream does not answer, it tries for longer than its clients wait.
type Unbound struct {
	*process
}

// StartUnbound starts a resolver for the zones of other servers. Zones with an anchor are validated: valid answers have
// the AD bit, others are SERVFAIL.
func StartUnbound(t testing.TB, upstreams ...Upstream) *Unbound {
	t.Helper()
	return StartUnboundWith(t, "", upstreams...)
}

// StartUnboundWith adds lines to the server clause of unbound.conf(5).
func StartUnboundWith(t testing.TB, lines string, upstreams ...Upstream) *Unbound {
	t.Helper()
	u := &Unbound{newProcess(t, "unbound")}
	u.args = func() []string {
		u.writeFile(t, "unbound.conf", u.config(lines, upstreams)) // which has the port
		return []string{"-d", "-p", "-c", u.filePath("unbound.conf")}
	}
	u.ready = func() error { return u.checkMarker(markerName, u.dir) }
	u.startOnFreePort(t)
	return u
}

// config sees to it that no other server gets a query: there are no names but those of the upstreams, and no packet
// from the outgoing address leaves the machine.
func (u *Unbound) config(lines string, upstreams []Upstream) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
	directory: %[1]q
	chroot: ""
	username: ""
	pidfile: ""
	use-syslog: no
	logfile: ""
	verbosity: 1
	val-log-level: 2
	num-threads: 1
	interface: %[2]s
	port: %[3]d
	outgoing-interface: 127.0.0.1
	do-ip6: no
	do-not-query-localhost: no
	unblock-lan-zones: yes
	trust-anchor-signaling: no
	infra-keep-probing: yes
	local-zone: . static
	local-zone: %[4]s static
	local-data: '%[4]s 1 IN TXT "%[1]s"'
`, u.dir, u.Addr.Addr(), u.Addr.Port(), markerName)
	for _, up := range upstreams {
		fmt.Fprintf(&b, "\tlocal-zone: %q transparent\n", up.Zone)
		if up.Anchor != "" {
			fmt.Fprintf(&b, "\ttrust-anchor: '%s'\n", up.Anchor)
		} else {
			fmt.Fprintf(&b, "\tdomain-insecure: %q\n", up.Zone)
		}
	}
	for line := range strings.Lines(lines) {
		fmt.Fprintf(&b, "\t%s\n", strings.TrimSpace(line))
	}
	fmt.Fprintf(&b, "remote-control:\n\tcontrol-enable: yes\n\tcontrol-interface: %q\n\tcontrol-use-cert: no\n", u.filePath("control"))
	for _, up := range upstreams {
		fmt.Fprintf(&b, "stub-zone:\n\tname: %q\n\tstub-addr: %s@%d\n", up.Zone, up.Addr.Addr(), up.Addr.Port())
	}
	return b.String()
}

// Flush empties the caches of answers, and of servers that did not answer.
func (u *Unbound) Flush(t testing.TB) {
	t.Helper()
	u.Control(t, "flush_zone .")
	u.Control(t, "flush_infra all")
}

// Control sends a command of unbound-control(8), and returns the output.
func (u *Unbound) Control(t testing.TB, command string) string {
	t.Helper()
	c, err := net.DialTimeout("unix", u.filePath("control"), waitTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(waitTimeout))
	if _, err := fmt.Fprintf(c, "UBCT1 %s\n", command); err != nil {
		t.Fatal(err)
	}
	output, err := io.ReadAll(io.LimitReader(c, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(output), "error") {
		t.Fatalf("unbound-control %s: %s", command, output)
	}
	return string(output)
}
