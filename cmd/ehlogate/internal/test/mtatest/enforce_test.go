package mtatest_test

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// enforceLists knows a client that is suppressed and one that must use TLS.
const enforceLists = `[[list]]
name   = "strict"
action = "require"
files  = ["strict.list"]

[[list]]
name   = "deny"
action = "suppress"
files  = ["deny.list"]

[milter]
add_header = true
`

var (
	strict      = netip.MustParseAddr("198.51.100.7")
	barred      = netip.MustParseAddr("192.0.2.7")
	plain       = netip.MustParseAddr("203.0.113.7")
	barred6     = netip.MustParseAddr("2001:db8::7")
	barredLocal = netip.MustParseAddr("127.0.0.66") // with a port of its own
)

// enforcing is a Postfix that asks by policy delegation and by milter.
type enforcing struct {
	*mtatest.Postfix
	*daemon
}

func newEnforcing(t *testing.T) *enforcing {
	g := startDaemon(t, "enforce", "", nil, enforceLists, map[string]string{
		"strict.list": strict.String() + "\n", "deny.list": "192.0.2.0/24\n2001:db8::/32\n127.0.0.66\n",
	})
	dir := tempDir(t)
	policy := fmt.Sprintf("check_policy_service { inet:%s, timeout=2s, try_limit=1, default_action=DUNNO }", g.policy)
	milters := map[string]string{"smtpd_milters": fmt.Sprintf("{ inet:%s, default_action=accept, connect_timeout=2s, command_timeout=2s }", g.milter)}
	mapped := map[string]string{"smtpd_discard_ehlo_keyword_address_maps": "memcache:eg"}
	with := func(more ...map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range more {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	early := map[string]string{"smtpd_delay_reject": "no", "smtpd_helo_restrictions": policy, "smtpd_sender_restrictions": policy}
	late := map[string]string{"smtpd_recipient_restrictions": policy}
	return &enforcing{daemon: g, Postfix: startPostfix(t, mtatest.PostfixConfig{
		Dir: dir,
		Main: fmt.Sprintf("eg_memcache = inet:%s\neg_key_format = starttls:%%s\neg_backup = cidr:/dev/null\neg_max_try = 1\neg_timeout = 1\n", g.memcache) +
			"smtpd_sasl_auth_enable = no\n",
		Services: []mtatest.Service{
			{Name: "early", Options: with(mapped, early)}, {Name: "late", Options: with(mapped, late)},
			{Name: "milter", Options: with(mapped, milters)},
			{Name: "nomapearly", Options: early}, {Name: "nomapmilter", Options: milters},
		},
	})}
}

// client connects as another address would, and greets.
func (e *enforcing) client(t *testing.T, service string, addr netip.Addr) *mtatest.SMTP {
	t.Helper()
	source := unlisted
	if addr.IsLoopback() {
		source = addr.String()
	}
	c, err := mtatest.Dial(soon(t), e.Addr(service), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	want := func(code int, r mtatest.Reply, err error) {
		t.Helper()
		if err != nil || r.Code != code {
			t.Fatalf("%v, %v", r, err)
		}
	}
	r, err := c.Banner()
	want(220, r, err)
	if !addr.IsLoopback() {
		r, err = c.XCLIENT(addr)
		want(220, r, err)
	}
	r, err = c.EHLO("client.example")
	want(250, r, err)
	return c
}

func (e *enforcing) startTLS(t *testing.T, c *mtatest.SMTP) {
	t.Helper()
	if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
		t.Fatalf("STARTTLS: %v, %v", r, err)
	}
	if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
		t.Fatalf("EHLO: %v, %v", r, err)
	}
}

// handOver hands a message over and gives the reply and its mark.
func handOver(t *testing.T, c *mtatest.SMTP, headers string) (mtatest.Reply, string) {
	t.Helper()
	mark := fmt.Sprintf("mark-%d", time.Now().UnixNano())
	r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: "+mark+"\n"+headers+"\nhello\n")
	if err != nil {
		t.Fatal(err)
	}
	return r, mark
}

// TestEnforce plays clients against a Postfix that asks by policy delegation and by milter.
func TestEnforce(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	e := newEnforcing(t)
	t.Run("INFO in the log", e.awaitInfo)
	t.Run("require", e.require)
	t.Run("encrypted all the same", e.encrypted)
	t.Run("header", e.header)
	t.Run("a long session", e.longSession)
	t.Run("faults", e.faults)
}

// awaitInfo checks that Postfix logs the decision, at EHLO and at RCPT.
func (e *enforcing) awaitInfo(t *testing.T) {
	for service, stage := range map[string]string{"early": "HELO|EHLO", "late": "RCPT"} {
		for _, addr := range []netip.Addr{barred, barred6} {
			mark := e.Maillog().Mark()
			c := e.client(t, service, addr)
			if r, _ := handOver(t, c, ""); r.Code != 250 {
				t.Errorf("%s: %v", service, r)
			}
			entry := map[netip.Addr]string{barred: "192.0.2.0/24", barred6: "2001:db8::/32"}[addr]
			re := regexp.MustCompile(`info: (` + stage + `).*starttls=suppress list=deny entry=` + regexp.QuoteMeta(entry))
			if _, err := e.Maillog().Await(soon(t), re, mark); err != nil {
				t.Error(err)
			}
		}
	}
}

// require checks that mail without TLS is refused, and with TLS taken.
func (e *enforcing) require(t *testing.T) {
	for _, service := range []string{"early", "late", "milter"} {
		c := e.client(t, service, strict)
		if r, _ := handOver(t, c, ""); r.Code != 450 || !strings.Contains(r.String(), "TLS required") {
			t.Errorf("%s, without TLS: %v", service, r)
		}
		e.startTLS(t, c)
		if r, _ := handOver(t, c, ""); r.Code != 250 {
			t.Errorf("%s, with TLS: %v", service, r)
		}
		if r, _ := handOver(t, e.client(t, service, plain), ""); r.Code != 250 {
			t.Errorf("%s, another client: %v", service, r)
		}
	}
}

// encrypted checks that a suppressed client that uses TLS is noticed: this Postfix does not ask about EHLO.
func (e *enforcing) encrypted(t *testing.T) {
	for service, protocol := range map[string]string{"nomapearly": "policy", "nomapmilter": "milter"} {
		c := e.client(t, service, barredLocal)
		e.startTLS(t, c)
		if r, _ := handOver(t, c, ""); r.Code != 250 {
			t.Errorf("%s: %v", service, r)
		}
		want := fmt.Sprintf("ehlogate_outcomes_total{outcome=\"suppressed-encrypted\",protocol=%q} 1\n", protocol)
		if got := e.metrics(t, `ehlogate_outcomes_total.*\n`); !slices.Contains(got, want) {
			t.Errorf("%s: it was not noticed, or not once: %q", service, got)
		}
	}
}

// header checks that the milter's header is on the message, and a forged one is not.
func (e *enforcing) header(t *testing.T) {
	c := e.client(t, "milter", barred)
	r, mark := handOver(t, c, "X-ehlogate: forged\nx-EHLOGATE: forged again\n")
	if r.Code != 250 {
		t.Fatal(r)
	}
	mail, err := e.AwaitMail(soon(t), regexp.MustCompile(mark))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(mail, "forged") || strings.Count(mail, "X-ehlogate: starttls=suppress; list=deny; entry=192.0.2.0/24") != 1 {
		t.Errorf("the message is\n%s", mail)
	}
}

// longSession sends every packet that a milter may see: several messages, RSET, a refused recipient, STARTTLS in the middle,
// and a message that is broken off.
func (e *enforcing) longSession(t *testing.T) {
	c := e.client(t, "milter", plain)
	for i := range 3 {
		if r, _ := handOver(t, c, ""); r.Code != 250 {
			t.Errorf("message %d: %v", i, r)
		}
		for _, command := range []string{"MAIL FROM:<a@client.example>", "RSET", "MAIL FROM:<a@client.example>", "RCPT TO:<x@elsewhere.example>", "RSET", "NOOP"} {
			if r, err := c.Command(command); err != nil || r.Code/100 != 2 && !strings.Contains(command, "elsewhere") {
				t.Errorf("%s: %v, %v", command, r, err)
			}
		}
		if i == 1 {
			e.startTLS(t, c)
		}
	}
	for _, command := range []string{"MAIL FROM:<a@client.example>", "RCPT TO:<b@mta.test>", "DATA"} {
		if r, err := c.Command(command); err != nil || r.Code/100 > 3 {
			t.Errorf("%s: %v, %v", command, r, err)
		}
	}
	c.Close()
	if r, _ := handOver(t, e.client(t, "milter", plain), ""); r.Code != 250 {
		t.Errorf("after a message that was broken off: %v", r)
	}
}

// faults checks that mail flows when ehlogate is down, and when it hangs, within the timeouts configured.
func (e *enforcing) faults(t *testing.T) {
	tab := newTable(t, "Postfix policy and milter")
	play := func(fault string, atMost time.Duration) {
		for _, service := range []string{"late", "milter"} {
			tally := mtatest.Load(soon(t), 3, 3, func(ctx context.Context, i int) (mtatest.Verdict, time.Duration, error) {
				start := time.Now()
				c, err := mtatest.Dial(ctx, e.Addr(service), unlisted)
				if err != nil {
					return mtatest.Unanswered, 0, err
				}
				defer c.Close()
				if _, err := c.Banner(); err != nil {
					return mtatest.Unanswered, 0, err
				}
				if _, err := c.EHLO("client.example"); err != nil {
					return mtatest.Unanswered, 0, err
				}
				r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: x\n\nhello\n")
				if err != nil || r.Code != 250 {
					return mtatest.Wrong, 0, fmt.Errorf("%v, %w", r, err)
				}
				return mtatest.Right, time.Since(start), nil
			})
			tab.add(row{variant: service, fault: fault, clients: 3, tally: tally})
			if tally.Right != tally.Sessions || tally.Max > atMost {
				t.Errorf("%s, %s: %+v", service, fault, tally)
			}
		}
	}
	play("serving", 5*time.Second)
	if err := e.Kill(soon(t)); err != nil {
		t.Fatal(err)
	}
	play("down", 5*time.Second)
	if err := e.daemon.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	play("started again", 5*time.Second)
	if err := e.Hang(soon(t)); err != nil {
		t.Fatal(err)
	}
	play("hung", 10*time.Second)
	if err := e.Resume(); err != nil {
		t.Fatal(err)
	}
	play("running on", 5*time.Second)
}
