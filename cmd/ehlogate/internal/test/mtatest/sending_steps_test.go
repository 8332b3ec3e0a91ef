package mtatest_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"ehlogate/lists/test/testenv"
)

// testContent: mail that the inspector refuses does not leave, nor does mail that the server outside would refuse.
func (s *sending) testContent(t *testing.T) {
	v := s.sendMail(t, bot, "you@outside.test", gtube)
	if v.reply.Code != 550 || !strings.Contains(v.reply.String(), "this is spam") {
		t.Errorf("spam: %v", v.reply)
	}
	narrate(t, "\nSpam from %s: %v", bot, v.reply)
	if v = s.sendMail(t, bot, "unknown@outside.test", ""); v.reply.Code != 550 || !strings.Contains(v.reply.String(), "User unknown") {
		t.Errorf("to an unknown recipient: %v", v.reply)
	}
	narrate(t, "To an address that does not exist: %v", v.reply)
	// The gateway keeps no mail either: root@ has no mailbox there.
	if v = s.sendMail(t, bot, "root@["+gatewayOutside+"]", ""); v.reply.Code != 550 || !strings.Contains(v.reply.String(), "no mailboxes here") {
		t.Errorf("to root: %v", v.reply)
	}
}

// testWithoutHELO: a denied machine that sends no HELO is in the log, too.
func (s *sending) testWithoutHELO(t *testing.T) {
	mark := s.postfix.Maillog().Mark()
	c, err := s.connect(t, s.inside, bot, net.JoinHostPort(outsideMX, "25"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		t.Fatalf("%v, %v", r, err)
	}
	if r, err := c.Deliver("someone@customer.example", "you@outside.test", "Subject: no HELO\n\nhello\n"); err != nil || r.Code != 250 {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`info: RCPT from .*\[192\.0\.2\.10\].*starttls=suppress list=denied`), mark); err != nil {
		t.Error(err)
	}
}

// testTooManyConnections: one machine cannot take all processes of the gateway.
func (s *sending) testTooManyConnections(t *testing.T) {
	const limit = 10 // in main.cf
	for n := range limit + 1 {
		c, err := s.connect(t, s.inside, customer40, net.JoinHostPort(outsideMX, "25"))
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
	s.checkStanding(t, unknownMachine, isUnknown) // other machines do not notice
}

// testDANE: the gateway keeps a message if the server outside has another key than the domain published. If the domain
// published none, a policy decides, such as one of MTA-STS.
func (s *sending) testDANE(t *testing.T) {
	mark := s.postfix.Maillog().Mark()
	v := s.sendMail(t, bot, "you@forged.test", "")
	if v.reply.Code != 250 {
		t.Fatalf("%v", v.reply)
	}
	line, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`to=<you@forged\.test>.*status=deferred \(Server certificate not verified\)`), mark)
	if err != nil {
		t.Fatal(err)
	}
	narrate(t, "\nTo a server without the key that its domain published (DANE), the gateway does not deliver:\n  %s", line)
	outside, _ := s.awaitMail(t, s.sendMail(t, bot, "you@plain.test", ""))
	if !strings.Contains(outside, "using TLSv1.3") {
		t.Errorf("without DANE: %q", outside)
	}
	if _, err := s.postfix.Maillog().Await(soon(t), regexp.MustCompile(`Verified TLS connection established to mx\.plain\.test`), mark); err != nil {
		t.Errorf("the certificate is not verified as MTA-STS demands: %v", err)
	}
	mails, err := s.mx.Mails()
	if err != nil || strings.Contains(strings.Join(mails, ""), v.mark) {
		t.Errorf("want it not delivered, %v", err)
	}
}

// testEdits: edits move machines from one class to another, for their next connections.
func (s *sending) testEdits(t *testing.T) {
	mark := s.daemon.Log.Mark()
	s.write(t, "lists/denied.list", unknownMachine+"\n"+bot6+"\n")
	if _, err := s.daemon.Log.Await(soon(t), regexp.MustCompile(`list loaded.*list=denied`), mark); err != nil {
		t.Fatal(err)
	}
	narrate(t, "\ndenied.list is edited: %s instead of %s", unknownMachine, bot)
	s.checkStanding(t, unknownMachine, isDenied)
	s.checkStanding(t, bot, isUnknown)
	s.write(t, "lists/trusted.list", bot+"\n"+trustedMachine6+"\n")
	s.updateSets(t)
	narrate(t, "\ntrusted.list is edited: %s instead of %s; the timer updates the set", bot, trustedMachine)
	s.checkStanding(t, bot, isTrusted)
	s.checkStanding(t, trustedMachine, isUnknown)
}

// testUnreadableList: while a list cannot be read the set stays as it is, and the export says so.
func (s *sending) testUnreadableList(t *testing.T) {
	set := func() string { return s.mustRun(t, "nft", "list", "set", "inet", "ehlogate", "trusted4") }
	before := set()
	line := s.unitCommands(t, "ehlogate-trusted.service", "ExecStart")[0]
	for name, text := range map[string]string{"broken": bot + "\n192.0.2.300\n", "empty": ""} {
		s.write(t, "lists/trusted.list", text)
		out, err := s.gateway.Run(soon(t), line[0], line[1:]...)
		if err == nil || !strings.Contains(out, "nothing is exported, since a list cannot be loaded; the sets inet ehlogate trusted4 and trusted6 stay as they are") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		if after := set(); after != before || !strings.Contains(after, bot) {
			t.Errorf("%s: the set was\n%s, and is\n%s", name, before, after)
		}
		narrate(t, "\ntrusted.list is %s:\n%s", name, out)
	}
	s.checkStanding(t, bot, isTrusted)
	s.write(t, "lists/trusted.list", bot+"\n"+trustedMachine6+"\n")
}

// testLoop: rules that would intercept the gateway's own mail are refused, and those that are loaded stay.
func (s *sending) testLoop(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(s.dir, "port25.nft"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.write(t, "port25.nft", string(rules))
	s.write(t, "port25.nft", strings.Replace(string(rules), "hook prerouting priority dstnat\n\t\tiifname != $inside return", "hook output priority -100", 1))
	before := s.mustRun(t, "nft", "list", "ruleset")
	for _, line := range s.unitCommands(t, "ehlogate-port25.service", "ExecReload") {
		out, err := s.gateway.Run(soon(t), line[0], line[1:]...)
		if err == nil {
			continue
		}
		if !strings.Contains(out, "hazard: a loop: mail that 192.0.2.1 delivers to 192.31.196.25:25 is intercepted") || !strings.Contains(out, "ehlogate intercept: ip saddr 192.0.2.0/24 tcp dport 25 redirect to :10025") {
			t.Errorf("%v\n%s", err, out)
		}
		if after := s.mustRun(t, "nft", "list", "ruleset"); after != before {
			t.Errorf("the rules were\n%s, and are\n%s", before, after)
		}
		narrate(t, "\nRules that would intercept the gateway's own mail:\n%s", out)
		return
	}
	t.Error("a loop: got no refusal, want one")
}

// testNoOpenRelay: a host outside does not get through the firewall, and without the firewall Postfix does not relay.
func (s *sending) testNoOpenRelay(t *testing.T) {
	for _, host := range []string{gatewayOutside, gatewayInside} {
		if c, err := s.connect(t, s.outside, outsideMX, net.JoinHostPort(host, "10025")); err == nil {
			r, err := c.Banner()
			t.Errorf("%s: a host outside gets %v, %v", host, r, err)
		}
	}
	s.mustRun(t, "nft", "delete", "table", "inet", "ehlogate")
	for _, host := range []string{gatewayOutside, gatewayInside} {
		c, err := s.connect(t, s.outside, outsideMX, net.JoinHostPort(host, "10025"))
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
			t.Errorf("%s: a host outside gets %v, %v", host, r, err)
		}
		narrate(t, "\nA host outside asks %s to relay, without a firewall: %v", host, r)
	}
	// Without rules no machine is intercepted; with them again, as before.
	s.checkStanding(t, trustedMachine, isTrusted)
	for _, line := range s.unitCommands(t, "ehlogate-port25.service", "ExecStart") {
		s.mustRun(t, line...)
	}
	s.checkStanding(t, trustedMachine, isUnknown)
}

// testOnlyDenied loads the other rules that the file describes: only denied machines are intercepted.
func (s *sending) testOnlyDenied(t *testing.T) {
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
	for _, line := range s.unitCommands(t, "ehlogate-port25.service", "ExecReload") {
		s.mustRun(t, strings.Fields(strings.NewReplacer("--action offer", "--action suppress", "trusted.nft", "denied.nft").Replace(strings.Join(line, " ")))...)
	}
	narrate(t, "\nThe other rules: only denied machines are intercepted")
	s.checkStanding(t, unknownMachine, isDenied) // since the edit
	s.checkStanding(t, trustedMachine, isTrusted)
	s.checkStanding(t, unknownMachine6, isTrusted)
	s.checkStanding(t, bot6, isDenied)
	s.write(t, "port25.nft", string(rules))
	for _, line := range s.unitCommands(t, "ehlogate-port25.service", "ExecReload") {
		s.mustRun(t, line...)
	}
}

// testKilled: ehlogate ends while machines send. Every message arrives over TLS; meanwhile the backup offers STARTTLS to
// denied machines.
func (s *sending) testKilled(t *testing.T) {
	sources := [...]string{unknownMachine, trustedMachine} // since the edits the first is denied and the second unknown
	var visits [len(sources)][]sentMail
	var sent [len(sources)]atomic.Int32
	var stop atomic.Bool
	var senders sync.WaitGroup
	defer func() { stop.Store(true); senders.Wait() }()
	for i, source := range sources {
		senders.Go(func() { // not t.Parallel, which would wait for other tests
			t.Run(source, func(t *testing.T) {
				for !stop.Load() {
					visits[i] = append(visits[i], s.sendMail(t, source, "you@outside.test", ""))
					sent[i].Add(1)
				}
			})
		})
	}
	some := func() { // the next but one has begun after now
		t.Helper()
		a, b := sent[0].Load()+5, sent[1].Load()+5
		testenv.Eventually(t, "messages", func() bool { return t.Failed() || sent[0].Load() >= a && sent[1].Load() >= b })
	}
	some()
	if err := s.daemon.Kill(soon(t)); err != nil {
		t.Fatal(err)
	}
	narrate(t, "\nehlogate is killed while machines send")
	some()
	if err := s.startDaemon(t); err != nil {
		t.Fatal(err)
	}
	some()
	stop.Store(true)
	senders.Wait()
	offered := map[bool]int{}
	for i := range sources {
		for _, v := range visits[i] {
			if outside, inside := s.awaitMail(t, v); !strings.Contains(outside, "using TLSv1.3") || !strings.Contains(inside, gatewayHost) || !s.inspector.hasSeen(v.mark) {
				t.Errorf("%s: %q, %q", v.mark, outside, inside)
			}
			if i == 0 {
				offered[v.offered]++
			}
		}
	}
	if offered[true] == 0 || offered[false] < 5 {
		t.Errorf("the denied machine was offered STARTTLS %v times: want that only while ehlogate was down", offered)
	}
	narrate(t, "  of %d messages none was lost, and all were inspected and arrived over TLS; the backup offered STARTTLS to %s, which is denied, in %d of %d sessions",
		len(visits[0])+len(visits[1]), sources[0], offered[true], len(visits[0]))
	s.checkStanding(t, unknownMachine, isDenied)
}

// testWithoutPostfix: intercepted machines are refused and keep their mail; trusted machines do not notice.
func (s *sending) testWithoutPostfix(t *testing.T) {
	if err := s.postfix.Stop(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.connect(t, s.inside, unknownMachine, net.JoinHostPort(outsideMX, "25")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while the gateway has no Postfix: %v", err)
	}
	s.checkStanding(t, bot, isTrusted) // since the edits
	if err := s.postfix.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	s.checkStanding(t, unknownMachine, isDenied)
}
