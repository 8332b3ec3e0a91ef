package mtatest_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
	"ehlogate/lists/tlspolicy"
)

// setting is what a server does about clients on none of its own lists.
type setting struct {
	name, settings, lists string
	learns                bool // from a log
}

var allSettings = []setting{
	{name: "offer"},
	{name: "suppress", settings: "default = \"suppress\"\n"},
	{name: "limit", settings: "default = \"limit\"\n", lists: "[limit]\noffers_per_second = 0.001\n"},
	{name: "DNS deny", lists: "[[list]]\nname = \"blocked\"\naction = \"suppress\"\nzones = [{zone = \"deny.test\"}]\n"},
	{name: "learned", learns: true, lists: "[[list]]\nname = \"broken\"\nlearn = \"fallback\"\naction = \"suppress\"\nmode = \"enforce\"\n"},
	{name: "earned", learns: true, settings: "default = \"suppress\"\n", lists: "[[list]]\nname = \"known\"\nlearn = \"earned\"\naction = \"offer\"\n"},
}

// sender is a mail server that sends mail.
type sender struct {
	name string
	addr string
	// obeys: it delivers only as it was promised that it can, by MTA-STS or by DANE.
	mtasts, dane bool
	broken       bool // it cannot make a handshake, and does not do without
	listed       bool // in the deny zone
	own          bool // on the server's own deny list
	past         past
}

// past is what the log of the mail server has of a sender.
type past uint8

const (
	noPast       past = iota
	failedPast        // its handshakes failed
	attackedPast      // they did, after one that was completed: an attacker may be on the way
	goodPast          // it delivered on several days
)

var senders = []sender{
	{name: "plain", addr: "11.0.1.1"},
	{name: "obeys MTA-STS", addr: "11.0.1.2", mtasts: true},
	{name: "obeys DANE", addr: "11.0.1.3", dane: true},
	{name: "broken TLS, on no list", addr: "11.0.1.4", broken: true},
	{name: "broken TLS, on an own deny list", addr: "11.0.3.1", broken: true, own: true},
	{name: "bot, in the deny zone", addr: "11.0.2.1", listed: true},
	{name: "obeys both, in the deny zone", addr: "11.0.2.2", mtasts: true, dane: true, listed: true},
	{name: "obeys both, on an own deny list", addr: "11.0.3.2", mtasts: true, dane: true, own: true},
	{name: "broken TLS, as the log shows", addr: "11.0.4.1", broken: true, past: failedPast},
	{name: "TLS failed, obeys both now", addr: "11.0.5.1", mtasts: true, dane: true, past: failedPast},
	{name: "TLS failed after it worked, obeys both", addr: "11.0.6.1", mtasts: true, dane: true, past: attackedPast},
	{name: "delivers much", addr: "11.0.7.1", past: goodPast},
	{name: "delivers much, obeys both", addr: "11.0.7.2", mtasts: true, dane: true, past: goodPast},
	{name: "delivers much, broken TLS", addr: "11.0.8.1", broken: true, past: goodPast},
	{name: "delivers much, on an own deny list", addr: "11.0.3.3", own: true, past: goodPast},
}

// outcome is what came of a delivery, in the word that stands in the table.
type outcome string

const (
	byTLS   outcome = "TLS"       // STARTTLS was offered, and the message delivered by TLS
	inClear outcome = "clear"     // it was not, and the message was delivered without
	kept    outcome = "**kept**"  // it was not, and the sender relies on it: it keeps the message
	failed  outcome = "**fails**" // it was, and the sender, which takes what is offered, cannot do it
)

// sendMessage delivers a message to a domain, if the sender does so at all.
func (s sender) sendMessage(ctx context.Context, addr string, p promise, k known, ca *authority) (outcome, error) {
	g, err := greetListed(ctx, addr, netip.MustParseAddr(s.addr))
	if err != nil {
		return "", err
	}
	defer g.Close()
	sts, dane := s.mtasts && k.mode == "enforce", s.dane && len(k.tlsa) > 0
	result := inClear
	switch {
	case g.reply.Offers("STARTTLS") && s.broken:
		if r, err := g.Command("STARTTLS"); err != nil || r.Code != 220 {
			return "", fmt.Errorf("STARTTLS: %v, %w", r, err)
		}
		if r, err := g.Command("this is no TLS"); err == nil {
			return "", fmt.Errorf("nonsense is answered by %v", r)
		}
		return failed, nil
	case g.reply.Offers("STARTTLS"):
		result = byTLS
		r, state, err := g.STARTTLS()
		if err != nil || r.Code != 220 {
			return "", fmt.Errorf("STARTTLS: %v, %w", r, err)
		}
		if sts {
			err = verifySTS(state, p.mx(), ca)
		}
		if dane && err == nil {
			err = verifyDANE(state, k)
		}
		if err != nil {
			return "", err
		}
		if r, err := g.EHLO("client.example"); err != nil || r.Code != 250 {
			return "", fmt.Errorf("EHLO over TLS: %v, %w", r, err)
		}
	case sts || dane:
		return kept, nil
	}
	r, err := g.Deliver("a@client.example", "b@"+p.domain, "Subject: "+s.name+"\n\nhello\n")
	if err != nil || r.Code != 250 {
		return "", fmt.Errorf("the message: %v, %w", r, err)
	}
	return result, nil
}

// verifySTS checks a certificate as RFC 8461 section 4.2 wants it.
func verifySTS(state tls.ConnectionState, mx string, ca *authority) error {
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: ca.pool, DNSName: mx})
	return err
}

// verifyDANE compares the key with records "3 1 1" (RFC 7672 section 3.1.1).
func verifyDANE(state tls.ConnectionState, k known) error {
	sum := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
	for _, r := range k.tlsa {
		if r.Usage == 3 && r.Selector == 1 && r.MatchingType == 1 && strings.EqualFold(r.Certificate, hex.EncodeToString(sum[:])) {
			return nil
		}
	}
	return errors.New("no TLSA record has the key of the server")
}

// relies: a promise was made to it by a means that it obeys.
func (s sender) relies(p promise) bool { return s.mtasts && p.mode == "enforce" || s.dane && p.tlsa }

// wants is what ought to come of it.
func (s sender) wants(at setting, p promise) outcome {
	hidden := s.own // by the operator, whatever was promised
	switch at.name {
	case "suppress", "limit":
		hidden = hidden || !p.isMade()
	case "DNS deny":
		hidden = hidden || s.listed && !p.isMade()
	case "learned":
		hidden = hidden || s.past == failedPast && !p.isMade()
	case "earned":
		hidden = hidden || s.past != goodPast && !p.isMade()
	}
	switch {
	case hidden && s.relies(p):
		return kept
	case hidden:
		return inClear
	case s.broken:
		return failed
	}
	return byTLS
}

// TestSafety plays every sender against every setting, under every promise, and prints which senders get STARTTLS and which mail is
// delivered. A sender that relies on a promise gets it, unless an operator has written a line against it.
func TestSafety(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "rbldnsd", "unbound")
	ca := newAuthority(t)
	t.Setenv("SSL_CERT_FILE", ca.file)
	dir, keys, states := tempDir(t), tempDir(t), tempDir(t)
	var hosts, domains []string
	for _, p := range promises {
		hosts, domains = append(hosts, p.mx()), append(domains, p.domain)
	}
	mx := ca.server(t, keys, hosts...)
	zone, signed, resolver := publish(t, ca, mx, dnstest.Dataset{Zone: "deny.test", Type: "ip4set", Text: "127.0.0.2\n11.0.2.0/24\n"})

	// Senders remember what they found out, also when it can no longer be found out.
	knows := map[string]known{}
	for _, p := range promises {
		k := discover(t, p, resolver.Addr, ca)
		if k.mode != p.mode || len(k.tlsa) > 0 != p.tlsa {
			t.Fatalf("%s: senders find %+v", p.name, k)
		}
		knows[p.domain] = k
		if p.fails {
			signed.Fail(p.domain, dnstest.Fault{Kind: dnstest.Tamper})
		}
	}
	resolver.Flush(t)

	table := newSafety(t)
	var params strings.Builder
	var services []mtatest.Service
	daemons := map[string]*daemon{}
	past := newSafetyLog(t)
	for _, at := range allSettings {
		for _, p := range promises {
			name := serviceOf(at, p)
			daemons[name] = startDaemon(t, name, "explicit_offer = true\n"+at.settings, nil, fmt.Sprintf(`[dns]
resolvers = [%q]

[guard]
domains = [%q]
state = %q

%s[[list]]
name = "own"
action = "suppress"
files = ["own.list"]

`, resolver.Addr, p.domain, filepath.Join(states, name), hereList)+past.configure(at, filepath.Join(states, name))+at.lists, map[string]string{"here.list": hereFile, "own.list": "11.0.3.0/24\n"})
			s, param := mapped(name, daemons[name].memcache)
			services = append(services, s)
			params.WriteString(param)
		}
	}
	fmt.Fprintf(&params, "virtual_mailbox_domains = %s\nsmtpd_tls_cert_file = %s/mx.pem\nsmtpd_tls_key_file = %[2]s/mx.key\n", strings.Join(domains, " "), keys)
	post := startPostfix(t, mtatest.PostfixConfig{Dir: dir, Services: services, Main: params.String(), Files: backupFiles})
	past.play(t, daemons)
	for _, p := range promises {
		if !p.withdrawn {
			continue
		}
		for _, at := range allSettings {
			daemons[serviceOf(at, p)].awaitPromise(t, p, tlspolicy.Confirmed)
		}
		p.withdraw(t, zone)
		resolver.Flush(t)
		if k := discover(t, p, resolver.Addr, ca); k.mode != "" || len(k.tlsa) > 0 {
			t.Fatalf("%s: senders still find %+v", p.name, k)
		}
		for _, at := range allSettings {
			if err := daemons[serviceOf(at, p)].Restart(soon(t)); err != nil { // it looks at once
				t.Fatal(err)
			}
		}
	}
	for _, at := range allSettings {
		for _, p := range promises {
			daemons[serviceOf(at, p)].prepare(t, at, p, post.Addr(serviceOf(at, p)))
		}
	}

	type cell struct {
		at setting
		p  promise
		s  sender
	}
	var cells []cell
	for _, at := range allSettings {
		for _, p := range promises {
			for _, s := range senders {
				cells = append(cells, cell{at, p, s})
			}
		}
	}
	var mu sync.Mutex
	delivered := 0
	ctx := soon(t)
	tally := mtatest.Load(ctx, len(cells), 4, func(ctx context.Context, i int) (mtatest.Verdict, time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		c := cells[i]
		got, err := c.s.sendMessage(ctx, post.Addr(serviceOf(c.at, c.p)), c.p, knows[c.p.domain], ca)
		mu.Lock()
		defer mu.Unlock()
		table.add(c.s, c.at, c.p, got)
		if got == byTLS || got == inClear {
			delivered++
		}
		if want := c.s.wants(c.at, c.p); err == nil && got != want {
			err = fmt.Errorf("it is %s, not %s", got, want)
		}
		if err != nil {
			t.Errorf("%s, %s, %s: %v", c.s.name, c.at.name, c.p.name, err)
		}
		if c.s.relies(c.p) && !c.s.own && got != byTLS {
			t.Errorf("%s, %s, %s: a sender that relies on a promise is refused what was promised: %s", c.s.name, c.at.name, c.p.name, got)
		}
		return mtatest.Right, 0, nil
	})
	if tally.Sessions != len(cells) {
		t.Errorf("%d of %d were played", tally.Sessions, len(cells))
	}
	for { // what was delivered is there
		mails, err := post.Mails()
		if err != nil {
			t.Fatal(err)
		}
		if len(mails) >= delivered {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d messages are there", len(mails), delivered)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serviceOf is the smtpd that serves a domain in a setting.
func serviceOf(at setting, p promise) string {
	return strings.ReplaceAll(at.name, " ", "") + strings.TrimSuffix(p.domain, "."+promisedZone)
}

// prepare waits until the daemon knows what it can, and puts it under load if that is its setting.
func (g *daemon) prepare(t *testing.T, at setting, p promise, smtpd string) {
	t.Helper()
	want := tlspolicy.NoCommitment
	switch {
	case p.fails:
		want = tlspolicy.Assumed
	case p.isMade():
		want = tlspolicy.Confirmed
	}
	d := g.awaitPromise(t, p, want)
	if gone := d.MTASTS.State == tlspolicy.None && d.DANE.State == tlspolicy.None; gone != (p.withdrawn || p.mode == "" && !p.tlsa) {
		t.Fatalf("%s, %s: the guard finds %+v", at.name, p.name, d)
	}
	if at.learns {
		g.awaitPasts(t, at)
	}
	switch at.name {
	case "DNS deny":
		g.awaitZones(t, patience, "enabled", "deny.test")
		for _, s := range senders {
			g.learn(t, netip.MustParseAddr(s.addr))
		}
	case "limit":
		if want != tlspolicy.NoCommitment {
			break // nothing is limited
		}
		for n := byte(1); !g.reputation(t).Limit.Exhausted; n++ {
			c, err := greet(soon(t), smtpd, netip.AddrFrom4([4]byte{11, 0, 9, n}))
			if err != nil {
				t.Fatal(err)
			}
			c.Quit()
		}
	}
}

// awaitPromise waits until the daemon has looked at a domain, and checks what it makes of it.
func (g *daemon) awaitPromise(t *testing.T, p promise, want tlspolicy.Commitment) tlspolicy.Domain {
	t.Helper()
	r := g.awaitReputation(t, patience, "a check of the promise", func(r *reputation) bool { return !r.Guard.Domains[0].Checked.IsZero() })
	d := r.Guard.Domains[0]
	if d.Commitment != want || r.Guard.Active != (want != tlspolicy.NoCommitment) {
		t.Fatalf("%s: the guard says %+v, not %s", p.name, r.Guard, want)
	}
	return d
}
