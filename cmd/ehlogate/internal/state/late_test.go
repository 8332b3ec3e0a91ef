package state

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
	"ehlogate/policyd"
	"ehlogate/policyd/delegation"
)

// An answer that comes after EHLO must not change what policy reports of it.
func TestPolicyAfterLateAnswer(t *testing.T) {
	r := newRunning(t, strings.Replace(askingConf, `"10s"`, `"50ms"`, 1))
	r.tested()
	r.server.Fail("bl.test.", dnstest.Fault{Delay: 200 * time.Millisecond})
	c := lists.Client{Addr: netip.MustParseAddr("8.8.4.4")} // on no list
	ehlo := r.Decide(t.Context(), c)
	if ehlo.Action != lists.Offer || ehlo.Reason != lists.ReasonUnavailable {
		t.Fatalf("%s %s", ehlo.Action, ehlo.Reason)
	}
	// Meanwhile the client uses what it was offered, and comes to MAIL.
	testenv.Eventually(t, "no lookup is in flight", func() bool { return r.Snapshot().DNS.Stats().InFlight == 0 })
	var outcome lists.Outcome
	p := &delegation.Server{
		Backend: policyd.Backend{Decider: lists.DeciderFunc(r.Review), Values: r.Values, Fault: func(string, []byte) {}},
		Actions: func(lists.Decision) *delegation.Actions {
			a := *delegation.DefaultActions()
			a.SuppressedEncrypted = "REJECT"
			return &a
		},
		Outcome: func(o lists.Outcome, _ lists.Client, _ lists.Decision) { outcome = o },
	}
	_, reply, err := p.Connection().Answer(t.Context(), []byte("request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=8.8.4.4\nencryption_protocol=TLSv1.3\n\n"), nil)
	if err != nil || !strings.Contains(string(reply), "DUNNO") || outcome != 0 {
		t.Errorf("EHLO offered STARTTLS (%s), the client used it, and policy says %q (%s), %v", ehlo.Reason, reply, outcome, err)
	}
}

// Another wait is no other resolver: what was found out before stays.
func TestReloadOfWaitKeepsMemory(t *testing.T) {
	r := newRunning(t, askingConf)
	r.tested()
	r.expect("at start", "8.8.8.8", "offer listed")
	r.expect("at start", "8.8.4.4", "suppress default")
	r.server.Fail(".", dnstest.Fault{Kind: dnstest.Drop}) // the resolver is away now
	r.hup(strings.Replace(askingConf, `"10s"`, `"200ms"`, 1))
	r.expect("after a reload with another wait", "8.8.4.4", "suppress default")
	r.expect("after a reload with another wait", "8.8.8.8", "offer listed")
}

// What the guard holds back is what would have been done, and not more.
func TestGuardHoldsNothingInvented(t *testing.T) {
	conf := `
default = "limit"
dns = { resolvers = ["SERVER"], timeout = "50ms" }
guard = { domains = ["example.org"], state = "" }
limit = { offers_per_second = 1000 }
`
	server := dnstest.StartServer(t)
	d := newDir(t, strings.ReplaceAll(conf, "SERVER", server.Addr.String()))
	e := d.engine()
	dec := e.Decide(context.Background(), lists.Client{Addr: netip.MustParseAddr("8.8.8.8")})
	if dec.Action != lists.Offer || len(dec.Observed) != 0 {
		t.Errorf("the first client of the day, with 1000 offers a second: %s %s, and overridden: %s %s", dec.Action, dec.Reason, dec.Observed[0].Action, dec.Observed[0].Reason)
	}
}
