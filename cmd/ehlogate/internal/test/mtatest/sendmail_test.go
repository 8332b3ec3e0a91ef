package mtatest_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// clientNames are the names of clients that Sendmail and Exim find: of one a name that is true, of one a name that
// belongs to another.
const clientNames = "127.0.0.50 denied.example\n127.0.0.51 elsewhere.example\n127.0.0.52 elsewhere.example\n"

const (
	named  = "127.0.0.50" // is denied.example, which the list denies
	forged = "127.0.0.52" // says elsewhere.example, which the list denies; but that is 127.0.0.51
)

// namedFiles are the lists of the other tests, and the names.
var namedFiles = map[string]string{
	"allow.list": testFiles["allow.list"],
	"deny.list":  testFiles["deny.list"] + "denied.example\nelsewhere.example\n",
}

// onlyPorts returns an example with other ports in it. Each must stand in the example, once, but for what is optional.
func onlyPorts(t *testing.T, name string, others map[string]string) string {
	t.Helper()
	text := example(t, name)
	for documented, other := range others {
		if strings.Count(optional.ReplaceAllString(text, ""), documented) != 1 {
			t.Fatalf("want %q once in %s", documented, name)
		}
		text = strings.ReplaceAll(text, documented, other)
	}
	return text
}

// sendmailInet is how Sendmail writes host:port.
func sendmailInet(addr string) string {
	host, port, _ := strings.Cut(addr, ":")
	return "inet:" + port + "@" + host
}

// startSendmail starts a daemon with the example configuration that asks at socket ("inet:port@host", "local:path") and
// lives as long as the test; the map's flags are those of the example but without the ones named.
func startSendmail(t *testing.T, socket string, without ...string) *mtatest.Sendmail {
	t.Helper()
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	others := map[string]string{"inet:10041@127.0.0.1": socket, "\nR25\t": fmt.Sprintf("\nR%d\t", ports[0])}
	for _, flag := range without {
		others[flag] = ""
	}
	return runSendmail(t, ports[0], onlyPorts(t, "sendmail/ehlogate.mc", others))
}

// runSendmail starts a daemon with a configuration on a port; it lives as long as the test.
func runSendmail(t *testing.T, port int, mc string) *mtatest.Sendmail {
	t.Helper()
	return runSendmailWith(t, mtatest.SendmailConfig{Port: port, MC: mc})
}

// runSendmailWith is runSendmail with any configuration; where it lives, and the names of clients, are set here.
func runSendmailWith(t *testing.T, cfg mtatest.SendmailConfig) *mtatest.Sendmail {
	t.Helper()
	cfg.Dir, cfg.Hosts = tempDir(t), clientNames
	s, err := mtatest.NewSendmail(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.Maillog().Tail(60))
		}
	})
	if err := s.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSendmail plays clients against a Sendmail with the example configuration, while ehlogate serves.
func TestSendmail(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	g := startDaemon(t, "sendmail", "", nil, testLists, namedFiles)
	s := startSendmail(t, sendmailInet(g.socketmap))
	t.Run("by address and name", func(t *testing.T) {
		for source, offered := range map[string]bool{denied: false, allowed: true, unlisted: true, named: false, forged: true} {
			converse(t, s.Addr(), source, offered)
		}
		converse(t, s.Addr6(), "::1", false)
	})
	t.Run("mail", func(t *testing.T) {
		for source, header := range map[string]string{allowed: "with ESMTPS id", denied: "with ESMTP id"} {
			deliver(t, s.Addr(), source, "client.example")
			mail, err := s.AwaitMail(soon(t), regexp.MustCompile("Subject: from "+regexp.QuoteMeta(source)))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(mail, "A line.\n.\n..dots\n") || !strings.Contains(mail, header) {
				t.Errorf("message from %s: want %q and the text unchanged; have\n%s", source, header, mail)
			}
		}
	})
	t.Run("another port asks no map", func(t *testing.T) {
		ports, err := mtatest.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		mc := onlyPorts(t, "sendmail/ehlogate.mc", map[string]string{"inet:10041@127.0.0.1": sendmailInet(g.socketmap)})
		before := g.metrics(t, `ehlogate_decisions_total.*\n`)
		converse(t, runSendmail(t, ports[0], mc).Addr(), denied, true)
		if after := g.metrics(t, `ehlogate_decisions_total.*\n`); !slices.Equal(before, after) {
			t.Errorf("ehlogate was asked: %q, then %q", before, after)
		}
	})
	t.Run("edit", func(t *testing.T) {
		converse(t, s.Addr(), later, true)
		mark := g.Log.Mark()
		g.write(t, "deny.list", namedFiles["deny.list"]+later+"\n")
		if _, err := g.Log.Await(soon(t), regexp.MustCompile(`list loaded.*list=deny`), mark); err != nil {
			t.Fatal(err)
		}
		converse(t, s.Addr(), later, false)
	})
	t.Run("reload of Sendmail", func(t *testing.T) {
		if err := s.Reload(soon(t)); err != nil {
			t.Fatal(err)
		}
		converse(t, s.Addr(), denied, false)
		converse(t, s.Addr(), allowed, true)
	})
	if lines, err := s.Maillog().Lines(regexp.MustCompile(`SYSERR|socket map|unknown feature`), 0); err != nil || len(lines) > 0 {
		t.Errorf("Sendmail complained: %q, %v", lines, err)
	}
}

// converse plays a session that asks for TLS whether it is offered or not. Sendmail and Exim say 503 where it is not.
func converse(t *testing.T, addr, source string, offered bool) {
	t.Helper()
	c := hello(t, addr, source, "client.example", offered)
	defer c.Close()
	want := 503
	if offered {
		want = 220
	}
	r, state, err := c.STARTTLS()
	if err != nil || r.Code != want || state.HandshakeComplete != offered {
		t.Errorf("STARTTLS from %s: want %d; got %v, %v", source, want, r, err)
	}
}

// hello connects and sends EHLO; STARTTLS must be offered or not, as wanted.
func hello(t *testing.T, addr, source, helo string, offered bool) *mtatest.SMTP {
	t.Helper()
	c, err := mtatest.Dial(soon(t), addr, source)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		c.Close()
		t.Fatalf("banner for %s: %v, %v", source, r, err)
	}
	if r, err := c.EHLO(helo); err != nil || r.Code != 250 || r.Offers("STARTTLS") != offered {
		t.Errorf("EHLO %.80q from %s: want STARTTLS offered: %v; got %v, %v", helo, source, offered, r, err)
	}
	return c
}

// deliver hands over a message, inside of TLS if that is offered.
func deliver(t *testing.T, addr, source, helo string) {
	t.Helper()
	c := hello(t, addr, source, helo, source != denied)
	defer c.Close()
	if source != denied {
		if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
			t.Fatalf("STARTTLS from %s: %v, %v", source, r, err)
		}
		if r, err := c.EHLO(helo); err != nil || r.Code != 250 || r.Offers("STARTTLS") {
			t.Fatalf("EHLO inside of TLS: %v, %v", r, err)
		}
	}
	message := fmt.Sprintf("Subject: from %s\n\nA line.\n.\n..dots\n", source)
	if r, err := c.Deliver("a@example.com", "b@mta.test", message); err != nil || r.Code != 250 {
		t.Fatalf("message from %s: %v, %v", source, r, err)
	}
	if r, err := c.Quit(); err != nil || r.Code != 221 {
		t.Errorf("QUIT: %v, %v", r, err)
	}
}

// TestSendmailStop checks that nothing survives a stop, not even the process of a client that stays, that Sendmail can be
// started again, and that one that cannot start says why.
func TestSendmailStop(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	closing, _ := answers(t)
	s := startSendmail(t, sendmailInet(closing))
	for range 2 {
		hello(t, s.Addr(), unlisted, "client.example", true)
		queue := filepath.Join(filepath.Dir(s.Maillog().Path()), "queue")
		// A child that served an earlier connection, such as the one that showed that sendmail is ready, may end later.
		testenv.Eventually(t, "the daemon and one child run", func() bool { return len(livingIn(t, queue)) == 2 })
		if err := s.Stop(soon(t)); err != nil {
			t.Fatal(err)
		}
		if pids := livingIn(t, queue); len(pids) > 0 {
			t.Errorf("still running: %v", pids)
		}
		if err := s.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mtatest.NewSendmail(mtatest.SendmailConfig{Dir: tempDir(t), MC: "FEATURE(`nocanonify')\n"}); err == nil || !strings.Contains(err.Error(), "should be before MAILER") {
		t.Errorf("want m4's complaint; got %v", err)
	}
	broken, err := mtatest.NewSendmail(mtatest.SendmailConfig{Dir: tempDir(t), Port: 1, MC: "LOCAL_CONFIG\nKx nosuchtype\n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := broken.Start(soon(t)); err == nil || !strings.Contains(err.Error(), "nosuchtype") {
		t.Errorf("want the reason from the log; got %v", err)
	}
}
