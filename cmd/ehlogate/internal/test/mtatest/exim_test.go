package mtatest_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// startExim starts a daemon with the example configuration that asks at addr and lives as long as the test.
func startExim(t *testing.T, addr string) *mtatest.Exim {
	t.Helper()
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return runExim(t, ports[0], onlyPorts(t, "exim/ehlogate.conf", map[string]string{
		"127.0.0.1:10042":      addr,
		"{$received_port}{25}": fmt.Sprintf("{$received_port}{%d}", ports[0]),
	}))
}

// runExim starts a daemon with a configuration on a port; it lives as long as the test.
func runExim(t *testing.T, port int, main string) *mtatest.Exim {
	t.Helper()
	return runEximWith(t, mtatest.EximConfig{Dir: tempDir(t), Port: port, Main: main})
}

// runEximWith is runExim with any configuration.
func runEximWith(t *testing.T, cfg mtatest.EximConfig) *mtatest.Exim {
	t.Helper()
	e, err := mtatest.NewExim(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(soon(t)); err != nil {
			t.Error(err)
		}
		if lines, err := e.Paniclog().Lines(regexp.MustCompile(``), 0); err != nil || len(lines) > 0 {
			t.Errorf("Exim panicked: %q, %v", lines, err)
		}
		if t.Failed() {
			t.Log(e.Maillog().Tail(60))
		}
	})
	if err := e.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	return e
}

// TestExim plays clients against an Exim with the example configuration, while ehlogate serves.
func TestExim(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	g := startDaemon(t, "exim", "", nil, testLists, testFiles)
	e := startExim(t, g.tcp)
	t.Run("by address", func(t *testing.T) {
		for source, offered := range map[string]bool{denied: false, allowed: true, unlisted: true} {
			converse(t, e.Addr(), source, offered)
		}
		converse(t, e.Addr6(), "::1", false)
	})
	t.Run("by HELO name", func(t *testing.T) {
		c := hello(t, e.Addr(), unlisted, "bad.example", false)
		defer c.Close()
		if r, _, err := c.STARTTLS(); err != nil || r.Code != 503 {
			t.Errorf("STARTTLS: want 503; got %v, %v", r, err)
		}
		if r, err := c.EHLO("good.example"); err != nil || !r.Offers("STARTTLS") {
			t.Errorf("want another EHLO to be asked about anew; got %v, %v", r, err)
		}
		hello(t, e.Addr(), allowed, "bad.example", true).Close()
	})
	t.Run("hostile HELO names", func(t *testing.T) { hostile(t, g, e) })
	t.Run("mail", func(t *testing.T) {
		for source, header := range map[string]string{allowed: "with esmtps ", denied: "with esmtp "} {
			deliver(t, e.Addr(), source, "client.example")
			mail, err := e.AwaitMail(soon(t), regexp.MustCompile("Subject: from "+regexp.QuoteMeta(source)))
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
		before := g.metrics(t, `ehlogate_decisions_total.*\n`)
		converse(t, runExim(t, ports[0], onlyPorts(t, "exim/ehlogate.conf", map[string]string{"127.0.0.1:10042": g.tcp})).Addr(), denied, true)
		if after := g.metrics(t, `ehlogate_decisions_total.*\n`); !slices.Equal(before, after) {
			t.Errorf("ehlogate was asked: %q, then %q", before, after)
		}
	})
	t.Run("edit", func(t *testing.T) {
		converse(t, e.Addr(), later, true)
		mark := g.Log.Mark()
		g.write(t, "deny.list", testFiles["deny.list"]+later+"\n")
		if _, err := g.Log.Await(soon(t), regexp.MustCompile(`list loaded.*list=deny`), mark); err != nil {
			t.Fatal(err)
		}
		converse(t, e.Addr(), later, false)
	})
	t.Run("reload of Exim", func(t *testing.T) {
		if err := e.Reload(soon(t)); err != nil {
			t.Fatal(err)
		}
		converse(t, e.Addr(), denied, false)
		converse(t, e.Addr(), allowed, true)
	})
}

// hostile checks that no name that a client can claim changes the question about its address: neither hides STARTTLS from
// one that is not denied, nor gets it offered to one that is; and that ehlogate hears nothing that it does not understand.
func hostile(t *testing.T, g *daemon, e *mtatest.Exim) {
	for _, name := range []string{
		`"quoted"`, `'x'`, `{`, `}`, `}}{}{*}}`, `}{200 starttls}`, `$sender_host_address`, `${run{/bin/true}}`, `\N`, `\n`, `a\nget 127.0.0.10`,
		"a\rget 127.0.0.10", "a%0Aget%20127.0.0.10", "%", "%0", "%zz", "%20bad.example", "x bad.example", "a\tb", "\x01\x7f", "\xff\xfe", "b\u00fccher.example",
		":", "*", "!*", "[127.0.0.10]", "127.0.0.10", strings.Repeat("x", 255), strings.Repeat("x", 1500), strings.Repeat("%", 1500), strings.Repeat("\xff", 1500),
	} {
		hello(t, e.Addr(), unlisted, name, true).Close()
		hello(t, e.Addr(), denied, name, false).Close()
	}
	if errors := g.metrics(t, `ehlogate_protocol_errors_total.* [1-9].*\n`); len(errors) > 0 {
		t.Errorf("ehlogate did not understand: %q", errors)
	}
}

// TestEximFaults measures what clients of Exim see while ehlogate is down, restarts, or hangs, and when what answers in its
// place is odd.
func TestEximFaults(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	g := startDaemon(t, "exim-faults", "", nil, faultLists, faultFiles())
	m := measured{newTable(t, "Exim"), "readsocket", startExim(t, g.tcp).Addr()}
	m.right(t, "serving")
	if _, err := g.Term(soon(t)); err != nil {
		t.Fatal(err)
	}
	m.offers(t, "down", 50, 0)
	if err := g.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	m.right(t, "started again")
	if err := g.Hang(soon(t)); err != nil {
		t.Fatal(err)
	}
	m.offers(t, "hung", 10, 2*time.Second)
	if err := g.Resume(); err != nil {
		t.Fatal(err)
	}
	m.right(t, "running on")

	addr, answer := answers(t)
	odd := measured{m.table, m.variant, startExim(t, addr).Addr()}
	odd.offers(t, "closing every connection", 4, 0)
	for _, text := range []string{"200", "200 \n", "400 try later\n", "500 200 starttls\n", "starttls\n", "\x00\xff}{", strings.Repeat("x", 1<<16)} {
		answer(text)
		odd.offers(t, fmt.Sprintf("answering %.20q", text), 4, 0)
	}
}

// TestEximStop checks that nothing survives a stop, not even the process of a client that stays, that Exim can be started
// again, and that one that cannot start says why.
func TestEximStop(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	closing, _ := answers(t)
	e := startExim(t, closing)
	for range 2 {
		hello(t, e.Addr(), unlisted, "client.example", true)
		spool := filepath.Join(filepath.Dir(filepath.Dir(e.Maillog().Path())), "spool")
		if n := len(livingIn(t, spool)); n != 2 {
			t.Errorf("want the daemon and a child to run; found %d processes", n)
		}
		if err := e.Stop(soon(t)); err != nil {
			t.Fatal(err)
		}
		if pids := livingIn(t, spool); len(pids) > 0 {
			t.Errorf("still running: %v", pids)
		}
		if err := e.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
	broken, err := mtatest.NewExim(mtatest.EximConfig{Dir: tempDir(t), Port: 1, Main: "no_such_option = x\n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := broken.Start(soon(t)); err == nil || !strings.Contains(err.Error(), "no_such_option") {
		t.Errorf("want the reason; got %v", err)
	}
}
