package mtatest_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestPostfix plays clients against every way in which Postfix asks ehlogate, while ehlogate serves.
func TestPostfix(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	s := newFixture(t)
	t.Run("by address", s.byAddress)
	t.Run("by XCLIENT", s.byXCLIENT)
	t.Run("by HELO name", s.byHELO)
	t.Run("mail over TLS", s.mailOverTLS)
	t.Run("always hidden", s.alwaysHidden)
	t.Run("observe", s.observing)
	t.Run("postmap", s.postmap)
	t.Run("postscreen", s.postscreen)
	t.Run("edit", s.checkEdits)
	t.Run("SIGHUP", s.checkReload)
	t.Run("no complaints", s.noComplaints)
	t.Run("reload of Postfix", s.reload)
}

// wantOffer checks what an EHLO reply offers. DSN is offered to every client, and CHUNKING to none.
func wantOffer(t *testing.T, r mtatest.Reply, starttls bool) {
	t.Helper()
	if r.Offers("STARTTLS") != starttls {
		t.Errorf("want STARTTLS offered: %v; got %v", starttls, r)
	}
	if !r.Offers("DSN") || r.Offers("CHUNKING") {
		t.Errorf("want DSN and no CHUNKING; got %v", r)
	}
}

// byAddress checks that the source address alone decides, and that a hidden STARTTLS is refused as well.
func (s *fixture) byAddress(t *testing.T) {
	for _, service := range addressVariants {
		t.Run(service, func(t *testing.T) {
			wantOffer(t, ehlo(t, s.Addr(service), denied), false)
			wantOffer(t, ehlo(t, s.Addr(service), allowed), true)
			wantOffer(t, ehlo(t, s.Addr(service), unlisted), true)
			wantOffer(t, ehlo(t, s.Addr6(service), "::1"), false)

			for source, want := range map[string]int{denied: 502, allowed: 220} {
				c := s.connect(t, service, source)
				if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
					t.Fatalf("EHLO: %v, %v", r, err)
				}
				if r, state, err := c.STARTTLS(); err != nil || r.Code != want || state.HandshakeComplete != (want == 220) {
					t.Errorf("STARTTLS from %s: want %d; got %v, %v", source, want, r, err)
				}
			}
		})
	}
}

// connect connects and reads the banner.
func (s *fixture) connect(t *testing.T, service, source string) *mtatest.SMTP {
	t.Helper()
	c, err := mtatest.Dial(soon(t), s.Addr(service), source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		t.Fatalf("banner: %v, %v", r, err)
	}
	return c
}

// byXCLIENT checks that a client that a proxy announces is looked up anew.
func (s *fixture) byXCLIENT(t *testing.T) {
	for _, service := range addressVariants {
		t.Run(service, func(t *testing.T) {
			for _, client := range []struct {
				addr  string
				offer bool
			}{
				{"192.0.2.200", false}, {"198.51.100.1", true}, {"2001:db8:b::1", false}, {"2001:db8:a::1", true}, {"2001:db9::1", true},
			} {
				c := s.connect(t, service, unlisted)
				if r, err := c.XCLIENT(netip.MustParseAddr(client.addr)); err != nil || r.Code != 220 {
					t.Fatalf("XCLIENT %s: %v, %v", client.addr, r, err)
				}
				r, err := c.EHLO("client.example")
				if err != nil {
					t.Fatal(err)
				}
				wantOffer(t, r, client.offer)
			}
		})
	}
}

// byHELO checks that a listed HELO name gets the old greeting, which offers nothing, and that other names are not touched.
func (s *fixture) byHELO(t *testing.T) {
	for _, name := range []string{"bad.example", "BAD.example", "good.example", "[192.0.2.1]"} {
		c := s.connect(t, "helo", unlisted)
		r, err := c.EHLO(name)
		if bad := strings.EqualFold(name, "bad.example"); err != nil || r.Code != 250 || r.Offers("STARTTLS") == bad || (len(r.Keywords()) == 0) != bad {
			t.Errorf("EHLO %s: %v, %v", name, r, err)
		}
		if r, err := c.HELO("bad.example"); err != nil || r.Code != 250 {
			t.Errorf("HELO after EHLO %s: %v, %v", name, r, err)
		}
		if r, err := c.Deliver("a@example.com", "b@mta.test", "Subject: helo\n\nhello\n"); err != nil || r.Code != 250 {
			t.Errorf("message after EHLO %s: %v, %v", name, r, err)
		}
	}
}

// mailOverTLS delivers one message inside of TLS and one in the clear, and finds both in the maildir.
func (s *fixture) mailOverTLS(t *testing.T) {
	for source, header := range map[string]string{allowed: "with ESMTPS id", denied: "with ESMTP id"} {
		c := s.connect(t, "memcache", source)
		r, err := c.EHLO("client.example")
		if err != nil {
			t.Fatal(err)
		}
		if r.Offers("STARTTLS") {
			if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
				t.Fatalf("STARTTLS from %s: %v, %v", source, r, err)
			}
			if r, err = c.EHLO("client.example"); err != nil || r.Code != 250 || r.Offers("STARTTLS") {
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
		mail, err := s.AwaitMail(soon(t), regexp.MustCompile("Subject: from "+regexp.QuoteMeta(source)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(mail, "A line.\n.\n..dots\n") || !strings.Contains(mail, header) {
			t.Errorf("message from %s: want %q and the text unchanged; have\n%s", source, header, mail)
		}
	}
}

// alwaysHidden checks that an answer of ours, which replaces Postfix's own setting, still hides CHUNKING: for denied
// clients always, for others where our offer is explicit. There the backup, which hides DSN, must not be asked either.
func (s *fixture) alwaysHidden(t *testing.T) {
	wantOffer(t, ehlo(t, s.Addr("explicit"), denied), false)
	wantOffer(t, ehlo(t, s.Addr("explicit"), allowed), true)
	wantOffer(t, ehlo(t, s.Addr("explicit"), unlisted), true)
	wantOffer(t, ehlo(t, s.Addr6("explicit"), "::1"), false)
}

// observing checks that a daemon that only observes hides nothing, but says what it would have done.
func (s *fixture) observing(t *testing.T) {
	mark := s.observe.Log.Mark()
	wantOffer(t, ehlo(t, s.Addr("observe"), denied), true)
	if _, err := s.observe.Log.Await(soon(t), regexp.MustCompile(regexp.QuoteMeta(denied)), mark); err != nil {
		t.Error(err)
	}
}

// postmap checks every kind of table with the tool that operators use.
func (s *fixture) postmap(t *testing.T) {
	for _, q := range []struct{ table, key, value string }{
		{"memcache:" + s.etc + "/plain.cf", denied, "chunking, starttls"},
		{"memcache:" + s.etc + "/plain.cf", unlisted, ""},
		{"memcache:" + s.etc + "/explicit.cf", unlisted, "chunking, silent-discard"},
		{"memcache:" + s.etc + "/helo.cf", "bad.example", "HELO bad.example"},
		{"memcache:" + s.etc + "/helo.cf", "good.example", ""},
		{"proxy:memcache:" + s.etc + "/plain.cf", denied, "chunking, starttls"},
		{"socketmap:inet:" + s.plain.socketmap + ":starttls", denied, "chunking, starttls"},
		{"socketmap:inet:" + s.plain.socketmap + ":starttls", unlisted, ""},
		{"tcp:" + s.plain.tcp, denied, "chunking, starttls"},
		{"tcp:" + s.plain.tcp, unlisted, ""},
		{"memcache:" + s.etc + "/observe.cf", denied, ""},
	} {
		value, found, err := s.Postmap(soon(t), q.key, q.table)
		if err != nil || value != q.value || found != (q.value != "") {
			t.Errorf("postmap -q %s %s: want %q; got %q, %v, %v", q.key, q.table, q.value, value, found, err)
		}
	}
}

// postscreen checks that a postscreen that has no table hands its clients to a smtpd that has one.
func (s *fixture) postscreen(t *testing.T) {
	wantOffer(t, ehlo(t, s.Addr("screen"), denied), false)
	wantOffer(t, ehlo(t, s.Addr("screen"), allowed), true)
}

// checkEdits checks that an edit of a list file takes effect without anything being done to Postfix, that a broken edit does not,
// and that the mended file does again.
func (s *fixture) checkEdits(t *testing.T) {
	g := s.plain
	entries := g.lists(t)["deny"].Entries
	for _, service := range []string{"memcache", "socketmap"} {
		wantOffer(t, ehlo(t, s.Addr(service), later), true)
	}
	g.write(t, "deny.list", testFiles["deny.list"]+later+"\n")
	for _, service := range []string{"memcache", "socketmap"} {
		s.awaitOffer(t, service, later, false)
	}
	if l := g.lists(t)["deny"]; l.Entries != entries+1 || l.Error != "" {
		t.Errorf("want %d entries; got %+v", entries+1, l)
	}
	mark := g.Log.Mark()
	g.write(t, "deny.list", "127.0.0.10\nthis is no entry\n")
	if _, err := g.Log.Await(soon(t), regexp.MustCompile(`deny\.list:2:6`), mark); err != nil {
		t.Error(err)
	}
	if l := g.lists(t)["deny"]; l.Entries != entries+1 || !strings.Contains(l.Error, "deny.list:2:6") {
		t.Errorf("want the old entries and the place of the error; got %+v", l)
	}
	wantOffer(t, ehlo(t, s.Addr("memcache"), later), false)
	g.write(t, "deny.list", testFiles["deny.list"])
	s.awaitOffer(t, "memcache", later, true)
}

// checkReload checks that SIGHUP brings a new configuration into effect, and that a broken one changes nothing but the log.
func (s *fixture) checkReload(t *testing.T) {
	g := s.plain
	reread := func(config string) {
		t.Helper()
		g.write(t, "ehlogate.toml", config)
		if err := g.HUP(); err != nil {
			t.Fatal(err)
		}
	}
	reread("mode = \"observe\"\n" + g.config)
	s.awaitOffer(t, "memcache", denied, true)
	mark := g.Log.Mark()
	reread("no_such_setting = 1\n" + g.config)
	if _, err := g.Log.Await(soon(t), regexp.MustCompile(`no_such_setting`), mark); err != nil {
		t.Error(err)
	}
	wantOffer(t, ehlo(t, s.Addr("memcache"), denied), true)
	reread(g.config)
	s.awaitOffer(t, "memcache", denied, false)
}

// awaitOffer plays sessions until STARTTLS is offered, or not, as wanted.
func (s *fixture) awaitOffer(t *testing.T, service, source string, want bool) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("STARTTLS is offered to %s: %v", source, want), func() bool {
		return ehlo(t, s.Addr(service), source).Offers("STARTTLS") == want
	})
}

// noComplaints checks that nothing that Postfix was told or asked so far made it log a warning or worse. It comes before the
// reload, because a smtpd that asks a proxymap which a reload is just replacing warns of it, waits a second and asks again.
func (s *fixture) noComplaints(t *testing.T) {
	complaints, err := s.Maillog().Troubles(0)
	if err != nil || len(complaints) > 0 {
		t.Errorf("Postfix complained: %q, %v", complaints, err)
	}
}

// reload checks that a reload of Postfix, which replaces its processes, changes nothing.
func (s *fixture) reload(t *testing.T) {
	if err := s.Reload(soon(t)); err != nil {
		t.Fatal(err)
	}
	for _, service := range addressVariants {
		wantOffer(t, ehlo(t, s.Addr(service), denied), false)
		wantOffer(t, ehlo(t, s.Addr(service), allowed), true)
	}
}
