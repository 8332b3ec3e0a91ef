package tlspolicy

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

// With a real resolver that validates, and a zone that is signed.
func TestUnbound(t *testing.T) {
	testenv.Needs(t, "unbound")
	signed := dnstest.NewSignedZone(t, "signed.test", `
@               MX    10 mail
mail            A     192.0.2.25
_25._tcp.mail   TLSA  `+tlsa+`
alias           MX    10 www
www             CNAME mail
bare            A     192.0.2.26
_25._tcp.bare   TLSA  `+tlsa+`
null            MX    0 .
_25._tcp.null   TLSA  `+tlsa+`
none            MX    10 other
other           A     192.0.2.27
`)
	plain := dnstest.NewZone(t, "plain.test", `
@               MX    10 mail
_25._tcp.mail   TLSA  `+tlsa+`
host            MX    10 mail.signed.test.
none            MX    10 other
`)
	served := dnstest.StartServer(t, signed, plain)
	unbound := dnstest.StartUnbound(t, served.Upstreams()...)
	c := &clock{now: base}
	by := func(server netip.AddrPort, cfg Options) *Monitor {
		return New(cfg, dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{server}, Timeout: 10 * time.Second}), c.currentTime)
	}
	check := func(g *Monitor, want ...State) {
		t.Helper()
		g.Check(t.Context())
		for i, d := range g.Report().Domains {
			free := want[i] == None
			if d.DANE.State != want[i] || (d.Commitment == NoCommitment) != free || want[i] != Unknown && d.Error != "" {
				t.Errorf("%+v; want %s", d, want[i])
			}
		}
	}
	all := []string{"signed.test", "alias.signed.test", "bare.signed.test", "null.signed.test", "none.signed.test", "missing.signed.test",
		"plain.test", "host.plain.test", "none.plain.test", "missing.plain.test"}
	none := None
	g := by(unbound.Addr, Options{Domains: all, Local: true, Signed: "signed.test"})
	check(g, Secure, Secure, Secure, none, none, none, none, Secure, none, none)
	if !g.Active() {
		t.Error("inactive")
	}
	if d := g.Report().Domains[1].DANE; d.Host != "mail.signed.test" || !d.Until.Equal(base.Add(7*day)) {
		t.Errorf("%+v", d)
	}
	// Nothing is certain if it cannot be seen that the resolver validates, nor on the way to a remote one.
	check(by(unbound.Addr, Options{Domains: all, Local: true, Signed: "plain.test"}),
		Secure, Secure, Secure, none, none, none, Indeterminate, Secure, none, none)
	signed.SetAuthentic(true)
	check(by(served.Addr, Options{Domains: all}),
		Indeterminate, Indeterminate, Indeterminate, none, none, none, Indeterminate, Indeterminate, none, none)
	signed.SetAuthentic(false)

	// Forged answers are failures, and what is known stays.
	const mail = "_25._tcp.mail.signed.test"
	served.Fail(mail, dnstest.Fault{Kind: dnstest.Tamper})
	unbound.Flush(t)
	g.Check(t.Context())
	if d := g.Report().Domains[0]; d.DANE.State != Secure || !strings.Contains(d.Error, mail+" TLSA: servfail") {
		t.Errorf("%+v", d)
	}
	fresh := by(unbound.Addr, Options{Domains: []string{"signed.test", "none.signed.test"}, Local: true})
	check(fresh, Unknown, none)
	unbound.Stop(t)
	g.Check(t.Context())
	if d := g.Report().Domains[8]; d.Commitment != NoCommitment || !strings.Contains(d.Error, "unreachable") {
		t.Errorf("%+v", d)
	}

	// The records go, and may be in caches.
	served.Heal()
	signed.Remove(t, "_25._tcp.mail", dns.TypeTLSA)
	signed.Remove(t, "_25._tcp.bare", dns.TypeTLSA)
	unbound.Start(t)
	g.Check(t.Context())
	if d := g.Report().Domains[0]; d.DANE.State != none || d.Commitment != Confirmed || d.Error != "" {
		t.Errorf("%+v", d)
	}
	c.advance(7 * day)
	if g.Check(t.Context()); g.Active() {
		t.Errorf("%+v", g.Report())
	}
}

// A domain from its record to its policy: over real DNS, with an alias and a
// record of two strings, and over real HTTPS.
func TestUnboundAndPolicy(t *testing.T) {
	testenv.Needs(t, "unbound")
	zone := dnstest.NewSignedZone(t, domainName, `
@          MX    10 mail
_mta-sts   CNAME _mta-sts.plain.test.
mta-sts    CNAME web.plain.test.
`)
	plain := dnstest.NewZone(t, "plain.test", `
_mta-sts   TXT   "v=STS" "v1; id=20160831085700Z;"
_mta-sts   TXT   "v=spf1 -all"
web        A     192.0.2.1
`)
	served := dnstest.StartServer(t, zone, plain)
	unbound := dnstest.StartUnbound(t, served.Upstreams()...)
	w := newWorld(t)
	w.publish("", enforce(7*day))
	client := dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{unbound.Addr}, Timeout: 10 * time.Second})
	var dialled string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled = address
		return w.dialPolicyHost(ctx, network, address)
	}
	cfg := w.cfg
	cfg.Roots, cfg.Dial = w.roots, dial
	g := New(cfg, client, w.clock.currentTime)
	check := func(state State, v Commitment) {
		t.Helper()
		unbound.Flush(t)
		g.Check(t.Context())
		if d := g.Report().Domains[0]; d.MTASTS.State != state || d.Commitment != v {
			t.Errorf("%+v; want %s, %s", d, state, v)
		}
	}
	check(Enforce, Confirmed)
	if d := g.Report().Domains[0]; d.MTASTS.ID != "20160831085700Z" || dialled != "192.0.2.1:443" || d.Error != "" {
		t.Errorf("%+v by way of %s", d, dialled)
	}
	served.Fail(".", dnstest.Fault{Kind: dnstest.ServFail})
	check(Enforce, Confirmed)
	served.Heal()
	zone.Remove(t, "_mta-sts")
	check(None, Confirmed)
	zone.Remove(t, "mta-sts")
	w.clock.advance(day)
	check(None, Confirmed)
	w.clock.advance(14 * day)
	check(None, NoCommitment)
}
