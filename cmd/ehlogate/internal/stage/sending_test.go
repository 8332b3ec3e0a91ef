package stage_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/stage"
)

// say tells what is seen: to who runs "make demo-sending" at once, else into the log of the test.
func say(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("STAGE_SAY") != "" {
		fmt.Printf(format+"\n", args...)
		return
	}
	t.Logf(format, args...)
}

// visit is what a machine inside sees of the server outside that it dialled.
type visit struct {
	banner   string // the name of who answers
	offered  bool   // STARTTLS
	starttls stage.Reply
	cert     []byte // of who answers; nil without TLS
	reply    stage.Reply
	mark     string // in the message
}

// visit dials the server outside from a machine inside, makes use of STARTTLS if it can, and hands over a message.
func (s *sending) visit(t *testing.T, source, to, body string) (v visit) {
	t.Helper()
	addr := net.JoinHostPort(outsideMX, "25")
	if strings.Contains(source, ":") {
		addr = net.JoinHostPort(outsideMX6, "25")
	}
	c, err := s.dial(t, s.inside, source, addr)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	defer c.Close()
	r, err := c.Banner()
	if err != nil || r.Code != 220 {
		t.Fatalf("%s: banner %v, %v", source, r, err)
	}
	v.banner, _, _ = strings.Cut(r.Text[0], " ")
	if r, err = c.EHLO("machine.customer.example"); err != nil || r.Code != 250 {
		t.Fatalf("%s: EHLO %v, %v", source, r, err)
	}
	v.offered = r.Offers("STARTTLS")
	var state tls.ConnectionState
	if v.starttls, state, err = c.STARTTLS(); err != nil {
		t.Fatalf("%s: STARTTLS %v", source, err)
	}
	if state.HandshakeComplete {
		v.cert = state.PeerCertificates[0].Raw
		if r, err := c.EHLO("machine.customer.example"); err != nil || r.Code != 250 {
			t.Fatalf("%s: EHLO over TLS %v, %v", source, r, err)
		}
	}
	v.mark = fmt.Sprintf("from %s at %d", source, time.Now().UnixNano())
	if v.reply, err = c.Deliver("someone@customer.example", to, "Subject: "+v.mark+"\n\n"+v.mark+"\n"+body+"\n"); err != nil {
		t.Fatalf("%s: message %v", source, err)
	}
	return v
}

// arrived waits for the message of a visit, and returns the first of its Received lines, which the server outside wrote, and
// the next, of the gateway, if that had it.
func (s *sending) arrived(t *testing.T, v visit) (outside, inside string) {
	t.Helper()
	if v.reply.Code != 250 {
		t.Fatalf("the message %s: %v", v.mark, v.reply)
	}
	mail, err := s.mx.AwaitMail(soon(t), regexp.MustCompile("(?m)^Subject: "+regexp.QuoteMeta(v.mark)+"$"))
	if err != nil {
		t.Fatal(err)
	}
	received := regexp.MustCompile(`(?m)^Received: .*\n(?:[ \t]+.*\n)*`).FindAllString(mail, -1)
	for i, r := range received {
		received[i] = strings.Join(strings.Fields(r), " ")
	}
	return received[0], strings.Join(received[1:], "\n")
}

// standing is what is done about a machine.
type standing int

const (
	isDenied standing = iota // intercepted, in the clear up to the gateway
	isUnknown
	isTrusted // not intercepted
)

// is checks all that a machine of a class sees, and what becomes of its message.
func (s *sending) is(t *testing.T, source string, want standing) {
	t.Helper()
	v := s.visit(t, source, "you@outside.test", "")
	outside, inside := s.arrived(t, v)
	host, p := gatewayHost, s.postfix
	if want == isTrusted {
		host, p = outsideHost, s.mx
	}
	if v.banner != host {
		t.Errorf("%s: %s answers, want %s", source, v.banner, host)
	}
	if want == isDenied {
		if v.offered || v.cert != nil || v.starttls.Code != 502 {
			t.Errorf("%s: STARTTLS is offered: %v, %v; want it hidden", source, v.offered, v.starttls)
		}
	} else if !v.offered || !bytes.Equal(v.cert, certificate(t, p).Raw) {
		t.Errorf("%s: STARTTLS is offered: %v, with the certificate of %s: %v", source, v.offered, host, bytes.Equal(v.cert, certificate(t, p).Raw))
	}
	// On the way across the Internet it is encrypted, whoever sent it.
	if !strings.Contains(outside, "with ESMTPS id") || !strings.Contains(outside, "using TLSv1.3") {
		t.Errorf("%s: the server outside says %q", source, outside)
	}
	// What the gateway had, it inspected, and it says from whom it is.
	if s.inspector.saw(v.mark) != (want != isTrusted) {
		t.Errorf("%s: inspected: %v", source, s.inspector.saw(v.mark))
	}
	hop := map[standing]string{isDenied: " with ESMTP id ", isUnknown: " with ESMTPS id "}[want]
	from := "[" + source + "]"
	if strings.Contains(source, ":") {
		from = "[IPv6:" + source + "]"
	}
	if want == isTrusted {
		if inside != "" || !strings.Contains(outside, from) {
			t.Errorf("%s: came from another: %q, %q", source, outside, inside)
		}
	} else if !strings.Contains(inside, from) || !strings.Contains(inside, "by "+gatewayHost) || !strings.Contains(inside, hop) {
		t.Errorf("%s: the gateway says %q, want %q, %q", source, inside, from, hop)
	}
	say(t, "  %-15s dialled %s\n    answered by       %s", source, outsideHost, v.banner)
	switch {
	case v.cert == nil:
		say(t, "    STARTTLS          not offered; the command: %v", v.starttls)
	case want == isTrusted:
		say(t, "    STARTTLS          offered; the certificate is that of %s: TLS from end to end", host)
	default:
		say(t, "    STARTTLS          offered; the certificate is that of %s", host)
	}
	say(t, "    inspected         %v", s.inspector.saw(v.mark))
	say(t, "    arrived           %s", hops.ReplaceAllString(outside, "$1, over $2"))
}

// hops finds in a Received line of Postfix from whom it is, and over what.
var hops = regexp.MustCompile(`^Received: (from \S+) .*\(using (\S+) .*`)

// TestSending builds the network of examples/sending-network from its files, in namespaces, and plays its machines.
func TestSending(t *testing.T) {
	t.Parallel()
	s := newSending(t)

	say(t, "\nThree machines inside, and what becomes of them:")
	t.Run("three machines", func(t *testing.T) {
		for want, source := range [...]string{isDenied: bot, isUnknown: unknownMachine, isTrusted: trustedMachine} {
			s.is(t, source, standing(want))
		}
		say(t, "\nThe same over IPv6:")
		for want, source := range [...]string{isDenied: bot6, isUnknown: unknownMachine6, isTrusted: trustedMachine6} {
			s.is(t, source, standing(want))
		}
		if _, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`Verified TLS connection established to mx\.outside\.test`), 0); err != nil {
			t.Error(err)
		}
		if _, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`postfix/port25/smtpd.*starttls=suppress list=denied entry=192\.0\.2\.10;.*\[192\.0\.2\.10\]|\[192\.0\.2\.10\].*starttls=suppress list=denied`), 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("submission", func(t *testing.T) {
		for _, port := range []string{"587", "465"} {
			c, err := s.dial(t, s.inside, bot, net.JoinHostPort(outsideMX, port))
			if err != nil {
				t.Fatal(err)
			}
			if r, err := c.Banner(); err != nil || !strings.HasPrefix(r.Text[0], outsideHost) {
				t.Errorf("port %s: %v, %v", port, r, err)
			}
		}
	})
	t.Run("doctor", func(t *testing.T) {
		if out := s.must(t, s.gate.Path, "check", "-c", filepath.Join(s.dir, "ehlogate.toml")); strings.Contains(out, "warning") {
			t.Errorf("check:\n%s", out)
		}
		out := s.must(t, s.gate.Path, "doctor", "-c", filepath.Join(s.dir, "ehlogate.toml"), "--postfix-config", s.postfix.Config)
		t.Log(out)
		if !strings.Contains(out, "nothing found") {
			t.Errorf("about the gateway:\n%s", out)
		}
	})
	t.Run("content", func(t *testing.T) { s.content(t) })
	t.Run("too many connections", func(t *testing.T) { s.tooMany(t) })
	t.Run("DANE", func(t *testing.T) { s.dane(t) })
	t.Run("edits", func(t *testing.T) { s.edits(t) })
	t.Run("nothing is emptied", func(t *testing.T) { s.unloaded(t) })
	t.Run("a loop", func(t *testing.T) { s.loop(t) })
	t.Run("no open relay", func(t *testing.T) { s.relay(t) })
	t.Run("only the denied", func(t *testing.T) { s.onlyDenied(t) })
	t.Run("killed", func(t *testing.T) { s.killed(t) })
	t.Run("without Postfix", func(t *testing.T) { s.withoutPostfix(t) })
	if troubles, err := s.postfix.Maillog().Lines(regexp.MustCompile(`\b(panic|fatal|error): `), 0); err != nil || len(troubles) > 0 {
		t.Errorf("the gateway's Postfix: %q, %v", troubles, err)
	}
}

// content: what the inspector refuses does not leave, nor does what the server outside would refuse.
func (s *sending) content(t *testing.T) {
	v := s.visit(t, bot, "you@outside.test", gtube)
	if v.reply.Code != 550 || !strings.Contains(v.reply.String(), "this is spam") {
		t.Errorf("spam: %v", v.reply)
	}
	say(t, "\nSpam from %s: %v", bot, v.reply)
	if v = s.visit(t, bot, "nobody@outside.test", ""); v.reply.Code != 550 || !strings.Contains(v.reply.String(), "User unknown") {
		t.Errorf("to nobody: %v", v.reply)
	}
	say(t, "To an address that does not exist: %v", v.reply)
}

// tooMany: one machine cannot take all of the gateway's processes.
func (s *sending) tooMany(t *testing.T) {
	const limit = 10 // in main.cf
	for n := range limit + 1 {
		c, err := s.dial(t, s.inside, customer40, net.JoinHostPort(outsideMX, "25"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want := 220
		if n == limit {
			want = 421
		}
		if r, err := c.Banner(); err != nil || r.Code != want {
			t.Errorf("connection %d: %v, %v; want %d", n+1, r, err, want)
		}
	}
	s.is(t, unknownMachine, isUnknown) // others do not notice
}

// dane: where the key of the server outside is not the one that its domain published, the gateway keeps the message; where none
// is published it uses the TLS that there is.
func (s *sending) dane(t *testing.T) {
	mark := s.postfix.Maillog().Mark()
	v := s.visit(t, bot, "you@forged.test", "")
	if v.reply.Code != 250 {
		t.Fatalf("%v", v.reply)
	}
	line, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`to=<you@forged\.test>.*status=deferred \(Server certificate not verified\)`), mark)
	if err != nil {
		t.Fatal(err)
	}
	say(t, "\nTo a server that has not the key that its domain published (DANE), the gateway says:\n  %s", line)
	outside, _ := s.arrived(t, s.visit(t, bot, "you@plain.test", ""))
	if !strings.Contains(outside, "using TLSv1.3") {
		t.Errorf("without DANE: %q", outside)
	}
	mails, err := s.mx.Mails()
	if err != nil || strings.Contains(strings.Join(mails, ""), v.mark) {
		t.Errorf("it was delivered all the same, or %v", err)
	}
}

// edits move machines from one class to another, for their next connections.
func (s *sending) edits(t *testing.T) {
	mark := s.gate.Log.Mark()
	s.write(t, "lists/denied.list", unknownMachine+"\n"+bot6+"\n")
	if _, err := s.gate.Log.Await(soon(t), regexp.MustCompile(`list loaded.*list=denied`), mark); err != nil {
		t.Fatal(err)
	}
	say(t, "\ndenied.list is edited: %s instead of %s", unknownMachine, bot)
	s.is(t, unknownMachine, isDenied)
	s.is(t, bot, isUnknown)
	s.write(t, "lists/trusted.list", bot+"\n"+trustedMachine6+"\n")
	s.sync(t)
	say(t, "\ntrusted.list is edited: %s instead of %s; the timer brings the set in step", bot, trustedMachine)
	s.is(t, bot, isTrusted)
	s.is(t, trustedMachine, isUnknown)
}

// unloaded: a list that cannot be read leaves the set as it is, and says so.
func (s *sending) unloaded(t *testing.T) {
	set := func() string { return s.must(t, "nft", "list", "set", "inet", "ehlogate", "trusted4") }
	before := set()
	line := s.unit(t, "ehlogate-trusted.service", "ExecStart")[0]
	for name, text := range map[string]string{"broken": bot + "\n192.0.2.300\n", "empty": ""} {
		s.write(t, "lists/trusted.list", text)
		out, err := s.gateway.Run(soon(t), line[0], line[1:]...)
		if err == nil || !strings.Contains(out, "nothing is exported, since a list could not be loaded; the sets inet ehlogate trusted4 and trusted6 stay as they are") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if after := set(); after != before || !strings.Contains(after, bot) {
			t.Errorf("%s: the set was\n%s, and is\n%s", name, before, after)
		}
		say(t, "\ntrusted.list is %s:\n%s", name, out)
	}
	s.is(t, bot, isTrusted)
	s.write(t, "lists/trusted.list", bot+"\n"+trustedMachine6+"\n")
}

// loop: rules that would catch the gateway's own mail are refused with the reason, and those that are loaded stay.
func (s *sending) loop(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(s.dir, "port25.nft"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.write(t, "port25.nft", string(rules))
	s.write(t, "port25.nft", strings.Replace(string(rules), "hook prerouting priority dstnat\n\t\tiifname != $inside return", "hook output priority -100", 1))
	before := s.must(t, "nft", "list", "ruleset")
	for _, line := range s.unit(t, "ehlogate-port25.service", "ExecReload") {
		out, err := s.gateway.Run(soon(t), line[0], line[1:]...)
		if err == nil {
			continue
		}
		if !strings.Contains(out, "comes back to it: a loop [nft-loop]") || !strings.Contains(out, "ehlogate intercept: rule ip saddr 192.0.2.0/24 tcp dport 25 redirect to :10025") {
			t.Errorf("%v\n%s", err, out)
		}
		if after := s.must(t, "nft", "list", "ruleset"); after != before {
			t.Errorf("the rules were\n%s, and are\n%s", before, after)
		}
		say(t, "\nRules that would catch the gateway's own mail:\n%s", out)
		return
	}
	t.Error("a loop is not refused")
}

// relay: somebody outside does not get through the firewall; and if he did, Postfix would not relay for him.
func (s *sending) relay(t *testing.T) {
	for _, host := range []string{gatewayOutside, gatewayInside} {
		if c, err := s.dial(t, s.outside, outsideMX, net.JoinHostPort(host, "10025")); err == nil {
			r, err := c.Banner()
			t.Errorf("%s: somebody outside gets %v, %v", host, r, err)
		}
	}
	s.must(t, "nft", "delete", "table", "inet", "ehlogate")
	for _, host := range []string{gatewayOutside, gatewayInside} {
		c, err := s.dial(t, s.outside, outsideMX, net.JoinHostPort(host, "10025"))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := c.Banner(); err != nil || r.Code != 220 {
			t.Fatalf("%v, %v", r, err)
		}
		if r, err := c.EHLO("outside.example"); err != nil || r.Code != 250 || r.Offers("AUTH") {
			t.Errorf("%v, %v", r, err)
		}
		r, err := c.Deliver("spammer@outside.example", "you@outside.test", "Subject: relayed\n\nx\n")
		if err != nil || r.Code != 554 || !strings.Contains(r.String(), "Access denied") {
			t.Errorf("%s: somebody outside gets %v, %v", host, r, err)
		}
		say(t, "\nSomebody outside asks %s to relay, without a firewall: %v", host, r)
	}
	// Without rules, nobody is intercepted; and with them again, as before.
	s.is(t, trustedMachine, isTrusted)
	for _, line := range s.unit(t, "ehlogate-port25.service", "ExecStart") {
		s.must(t, line...)
	}
	s.is(t, trustedMachine, isUnknown)
}

// onlyDenied loads the other rules that the file describes: only the denied are intercepted.
func (s *sending) onlyDenied(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(s.dir, "port25.nft"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(rules)
	described := regexp.MustCompile(`(?m)^#       (ip6? .*\n)`).FindAllStringSubmatch(text, -1)
	if len(described) != 4 {
		t.Fatalf("%q", described)
	}
	from := strings.Index(text, "\t\tip saddr @trusted4")
	to := from + strings.Index(text[from:], "\t}")
	var lines string
	for _, d := range described {
		lines += "\t\t" + d[1]
	}
	text = strings.NewReplacer("trusted4", "denied4", "trusted6", "denied6", "trusted.nft", "denied.nft").Replace(text[:from] + lines + text[to:])
	s.write(t, "port25.nft", text)
	defer s.write(t, "port25.nft", string(rules))
	for _, line := range s.unit(t, "ehlogate-port25.service", "ExecReload") {
		s.must(t, strings.Fields(strings.NewReplacer("--action offer", "--action suppress", "trusted.nft", "denied.nft").Replace(strings.Join(line, " ")))...)
	}
	say(t, "\nThe other rules: only the denied are intercepted")
	s.is(t, unknownMachine, isDenied) // since the edit
	s.is(t, trustedMachine, isTrusted)
	s.is(t, unknownMachine6, isTrusted)
	s.is(t, bot6, isDenied)
	s.write(t, "port25.nft", string(rules))
	for _, line := range s.unit(t, "ehlogate-port25.service", "ExecReload") {
		s.must(t, line...)
	}
}

// killed: ehlogate ends while machines send. Every message arrives, by TLS; the backup offers STARTTLS to the denied meanwhile.
func (s *sending) killed(t *testing.T) {
	sources := [...]string{unknownMachine, trustedMachine} // the one denied, the other unknown, since the edits
	var visits [len(sources)][]visit
	var sent [len(sources)]atomic.Int32
	var stop atomic.Bool
	var senders sync.WaitGroup
	defer func() { stop.Store(true); senders.Wait() }()
	for i, source := range sources {
		senders.Go(func() { // not t.Parallel, which would wait for other tests
			t.Run(source, func(t *testing.T) {
				for !stop.Load() {
					visits[i] = append(visits[i], s.visit(t, source, "you@outside.test", ""))
					sent[i].Add(1)
				}
			})
		})
	}
	some := func() { // the next but one has begun after now
		t.Helper()
		a, b := sent[0].Load()+5, sent[1].Load()+5
		until(t, "messages", func() bool { return t.Failed() || sent[0].Load() >= a && sent[1].Load() >= b })
	}
	some()
	if err := s.gate.Kill(soon(t)); err != nil {
		t.Fatal(err)
	}
	say(t, "\nehlogate is killed while machines send")
	some()
	if err := s.startGate(t); err != nil {
		t.Fatal(err)
	}
	some()
	stop.Store(true)
	senders.Wait()
	offered := map[bool]int{}
	for i := range sources {
		for _, v := range visits[i] {
			if outside, inside := s.arrived(t, v); !strings.Contains(outside, "using TLSv1.3") || !strings.Contains(inside, gatewayHost) || !s.inspector.saw(v.mark) {
				t.Errorf("%s: %q, %q", v.mark, outside, inside)
			}
			if i == 0 {
				offered[v.offered]++
			}
		}
	}
	if offered[true] == 0 || offered[false] < 5 {
		t.Errorf("the denied machine was offered STARTTLS %v times: want it to be while ehlogate was away, and only then", offered)
	}
	say(t, "  of %d messages none was lost, and all were inspected and arrived over TLS; %s, which is denied, was offered STARTTLS by the backup in %d sessions of %d",
		len(visits[0])+len(visits[1]), sources[0], offered[true], len(visits[0]))
	s.is(t, unknownMachine, isDenied)
}

// withoutPostfix: who is intercepted is refused, and keeps his mail; who is trusted does not notice.
func (s *sending) withoutPostfix(t *testing.T) {
	if err := s.postfix.Stop(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.dial(t, s.inside, unknownMachine, net.JoinHostPort(outsideMX, "25")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while the gateway has no Postfix: %v", err)
	}
	s.is(t, bot, isTrusted) // since the edits
	if err := s.postfix.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.is(t, unknownMachine, isDenied)
}
