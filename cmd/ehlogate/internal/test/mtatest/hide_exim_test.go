package mtatest_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// eximHides has the keywords that Exim can hide from some clients.
var eximHides = []hiding{
	{keyword: "auth", commands: []string{"AUTH PLAIN AGEAYg=="}, shown: 535, hidden: 503},
	{keyword: "chunking", commands: []string{fromStranger, toBox, inChunks}, shown: 250, hidden: 503},
	{keyword: "dsn", commands: []string{fromStranger + " RET=HDRS"}, shown: 250, hidden: 250},
	{keyword: "dsn", commands: []string{fromStranger, toBox + " NOTIFY=SUCCESS"}, shown: 250, hidden: 501},
	{keyword: "pipelining", goesWith: "PIPECONNECT", commands: []string{fromStranger + "\r\n" + toBox, ""}, shown: 250, hidden: 250},
	{keyword: "smtputf8", commands: []string{fromStranger + " SMTPUTF8"}, shown: 250, hidden: 501},
}

// eximLists are lists beside those of hidingLists: one hides all that Exim can hide, one what it cannot, and one is for
// submission.
const eximLists = `
[[list]]
name   = "most"
action = "suppress"
hide   = ["auth", "chunking", "dsn", "pipelining", "smtputf8"]
files  = ["most.list"]

[[list]]
name   = "vain"
hide   = ["8bitmime", "size"]
files  = ["vain.list"]

[[list]]
name     = "guessers"
hide     = ["auth", "dsn"]
services = ["submission"]
files    = ["most.list"]
`

// eximAuth is the end of a main section, and a section that has Exim offer AUTH and refuse each password.
const eximAuth = `
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = false
`

// TestHideExim has a real Exim with the example configuration hide keywords from the clients of a list, on port 25 and on
// submission, where it offers STARTTLS to all.
func TestHideExim(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	sections, files := hidingLists(eximHides)
	files["most.list"], files["vain.list"] = seesLeast+"\n", inVain+"\n"
	files["deny.list"] += denied + "\n"
	g := startDaemon(t, "hide-exim", "default = \"offer\"\n", nil, sections+eximLists, files)
	ports, err := mtatest.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	mx, msa, other := fmt.Sprint(ports[0]), fmt.Sprint(ports[1]), fmt.Sprint(ports[2])
	main := strings.NewReplacer("127.0.0.1:10042", g.tcp, "{25:587:465}", "{"+mx+":"+msa+":465}", "{25}", "{"+mx+"}").Replace(example(t, "exim/hide.conf"))
	e := runEximWith(t, mtatest.EximConfig{Dir: tempDir(t), Port: ports[0],
		Main: "daemon_smtp_ports = " + mx + ":" + msa + ":" + other + "\nlocal_interfaces = 127.0.0.1\n" + main + eximAuth})
	s := &hideEnv{addr: func(port string) string { return net.JoinHostPort("127.0.0.1", port) }, awaitMail: e.AwaitMail,
		keywords: []string{"SIZE", "8BITMIME", "PIPELINING", "PIPECONNECT", "AUTH", "CHUNKING", "STARTTLS", "SMTPUTF8", "DSN", "HELP"}, newer: []string{"LIMITS"}}
	for i, h := range eximHides {
		t.Run(fmt.Sprintf("%s %d", h.keyword, i), func(t *testing.T) { s.hides(t, mx, hiddenFrom(i), h) })
	}
	t.Run("all at once", func(t *testing.T) {
		before := decisions(t, g)
		s.wantHidden(t, mx, seesLeast, false, "AUTH", "CHUNKING", "DSN", "PIPELINING", "PIPECONNECT", "SMTPUTF8", "STARTTLS")
		if n := decisions(t, g) - before; n != 1 {
			t.Errorf("%v queries for one EHLO, want 1", n)
		}
		s.wantHidden(t, mx, seesLess, false, "DSN", "CHUNKING", "STARTTLS")
		c, _ := s.session(t, mx, seesLeast, false)
		if r, _, err := c.STARTTLS(); err != nil || r.Code != 503 {
			t.Errorf("STARTTLS: %v, %v", r, err)
		}
		s.delivers(t, c)
	})
	t.Run("what it cannot hide", func(t *testing.T) { s.wantHidden(t, mx, inVain, false) })
	t.Run("submission", func(t *testing.T) {
		for _, overTLS := range []bool{false, true} {
			s.wantHidden(t, msa, seesLeast, overTLS, "AUTH", "DSN")
			s.wantHidden(t, msa, seesLess, overTLS)
			s.wantHidden(t, msa, seesAll, overTLS)
		}
		for source, want := range map[string]int{seesLeast: 503, seesAll: 535} {
			c, _ := s.session(t, msa, source, true)
			if r := sayAll(t, c, []string{"AUTH PLAIN AGEAYg=="}); r.Code != want {
				t.Errorf("AUTH from %s: %v; want %d", source, r, want)
			}
		}
	})
	t.Run("another port", func(t *testing.T) {
		before := decisions(t, g)
		s.wantHidden(t, other, seesLeast, false)
		if n := decisions(t, g) - before; n != 0 {
			t.Errorf("%v queries, want none", n)
		}
	})
	t.Run("hostile HELO names", func(t *testing.T) { hostile(t, g, e) })
	t.Run("hung", func(t *testing.T) {
		if err := g.Hang(soon(t)); err != nil {
			t.Fatal(err)
		}
		const limit = 3500 * time.Millisecond
		took := quickest(limit, func() time.Duration {
			start := time.Now()
			s.wantHidden(t, mx, seesLeast, false)
			return time.Since(start)
		})
		if took < 2*time.Second || took > limit {
			t.Errorf("EHLO took %v, want one wait of two seconds", took)
		}
		if err := g.Resume(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("down", func(t *testing.T) {
		if err := g.Kill(soon(t)); err != nil {
			t.Fatal(err)
		}
		s.wantHidden(t, mx, seesLeast, false)
		s.wantHidden(t, msa, seesLeast, false)
	})
}

// TestHideEximOnDebian makes the macros of Debian's configuration of the example, by the command in examples/README.md.
func TestHideEximOnDebian(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	g := startDaemon(t, "hide-exim-debian", "", nil, "[[list]]\nname = \"a\"\naction = \"suppress\"\nhide = [\"chunking\", \"smtputf8\", \"dsn\"]\nfiles = [\"a.list\"]\n",
		map[string]string{"a.list": seesLeast + "\n"})
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	const file = "/usr/share/doc/ehlogate/examples/exim/hide.conf >>/etc/exim4/exim4.conf.localmacros"
	var command string
	for _, s := range exampleSteps(t, ".", "debian", "sending-network") {
		if before, ok := strings.CutSuffix(s.text, file); ok {
			command = before
		}
	}
	text, err := exec.CommandContext(soon(t), "sh", "-euc", command+filepath.Join(examples, "exim/hide.conf")).Output()
	if command == "" || err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	mx := fmt.Sprint(ports[0])
	e, err := mtatest.NewExim(mtatest.EximConfig{Dir: tempDir(t), Port: ports[0]})
	if err != nil {
		t.Fatal(err)
	}
	macros := strings.NewReplacer("127.0.0.1:10042", g.tcp, "{25:587:465}", "{"+mx+"}", "{25}", "{"+mx+"}").Replace(string(text))
	if err := e.UseDebian(soon(t), "MAIN_TLS_ENABLE = yes\nhelo_accept_junk_hosts = *\ndaemon_smtp_ports = "+mx+"\n"+macros, false, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(soon(t)); err != nil {
			t.Error(err)
		}
	})
	if err := e.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]bool{seesLeast: false, seesAll: true} {
		r := ehlo(t, e.Addr(), source)
		for _, keyword := range []string{"STARTTLS", "CHUNKING", "SMTPUTF8", "DSN"} {
			if r.Offers(keyword) != want {
				t.Errorf("%s is offered %s: %v; want %v", source, keyword, !want, want)
			}
		}
	}
}

// TestHideEximAnswers has something else answer in the place of ehlogate: all is offered, and no answer is expanded.
func TestHideEximAnswers(t *testing.T) {
	testenv.Needs(t, "root", "Exim")
	t.Parallel()
	addr, answer := answers(t)
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	mx := fmt.Sprint(ports[0])
	e := runExim(t, ports[0], strings.NewReplacer("127.0.0.1:10042", addr, "{25:587:465}", "{"+mx+"}", "{25}", "{"+mx+"}").Replace(example(t, "exim/hide.conf")))
	for _, text := range []string{"200", "200 \n", "400 dsn\n", "500 200 dsn\n", "dsn\n", "200 ${run{/bin/false}}dsn\n", "200 }{dsn\n", "\x00\xff}{", strings.Repeat("x", 1<<16)} {
		answer(text)
		c := hello(t, e.Addr(), unlisted, "client.example", true)
		if r, err := c.EHLO("client.example"); err != nil || !r.Offers("DSN") || !r.Offers("CHUNKING") {
			t.Errorf("answered %.20q: %v, %v", text, r, err)
		}
		c.Close()
	}
	answer("200 dsn\n")
	c := hello(t, e.Addr(), unlisted, "client.example", true)
	defer c.Close()
	if r, err := c.EHLO("client.example"); err != nil || r.Offers("DSN") || !r.Offers("CHUNKING") {
		t.Errorf("%v, %v", r, err)
	}
}

// decisions returns how many decisions a daemon made.
func decisions(t *testing.T, g *daemon) (n float64) {
	t.Helper()
	for _, line := range g.metrics(t, `ehlogate_decisions_total.* [0-9.e+]+$`) {
		value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		n += value
	}
	return n
}
