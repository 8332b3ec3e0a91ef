package mtatest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestSendmailMilter plays clients against a Sendmail that asks by the socket map and by the milter.
func TestSendmailMilter(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	g := startDaemon(t, "sendmail", "", nil, enforceLists, map[string]string{
		"strict.list": "127.0.0.70\n::1\n", "deny.list": denied + "\n",
	})
	ports, err := mtatest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s := runSendmail(t, ports[0], onlyPorts(t, "sendmail/ehlogate.mc", map[string]string{
		"inet:10041@127.0.0.1": sendmailInet(g.socketmap), "\nR25\t": fmt.Sprintf("\nR%d\t", ports[0]),
		"dnl INPUT_MAIL_FILTER": "INPUT_MAIL_FILTER", "inet:10044@127.0.0.1": sendmailInet(g.milter),
	}))
	message := func(c *mtatest.SMTP) (code int, mark string) {
		t.Helper()
		mark = fmt.Sprintf("mark-%d", time.Now().UnixNano())
		r, err := c.Deliver("a@example.com", "b@mta.test", "Subject: "+mark+"\nX-ehlogate: forged\n\nhello\n")
		if err != nil {
			t.Fatal(err)
		}
		return r.Code, mark
	}
	t.Run("require", func(t *testing.T) {
		for addr, source := range map[string]string{s.Addr(): "127.0.0.70", s.Addr6(): "::1"} {
			c := hello(t, addr, source, "client.example", true)
			defer c.Close()
			if code, _ := message(c); code != 450 {
				t.Errorf("from %s without TLS: %d", source, code)
			}
			if r, err := c.Command("RSET"); err != nil || r.Code != 250 {
				t.Errorf("RSET: %v, %v", r, err)
			}
			if r, state, err := c.STARTTLS(); err != nil || !state.HandshakeComplete {
				t.Fatalf("STARTTLS: %v, %v", r, err)
			}
			if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
				t.Fatalf("EHLO: %v, %v", r, err)
			}
			for range 2 {
				if code, _ := message(c); code != 250 {
					t.Errorf("from %s with TLS: %d", source, code)
				}
			}
		}
	})
	t.Run("suppressed", func(t *testing.T) {
		c := hello(t, s.Addr(), denied, "client.example", false)
		defer c.Close()
		code, mark := message(c)
		if code != 250 {
			t.Fatalf("the message is answered %d", code)
		}
		mail, err := s.AwaitMail(soon(t), regexp.MustCompile(mark))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(mail, "forged") || !strings.Contains(mail, "starttls=suppress; list=deny; entry="+denied) {
			t.Errorf("the message is\n%s", mail)
		}
	})
	t.Run("hung", func(t *testing.T) {
		// The session has begun, so that only the milter is in the way.
		c := hello(t, s.Addr(), unlisted, "client.example", true)
		defer c.Close()
		if err := g.Hang(soon(t)); err != nil {
			t.Fatal(err)
		}
		if code, _ := message(c); code != 250 {
			t.Errorf("the message is answered %d", code)
		}
		if err := g.Resume(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("hung in mid-message", func(t *testing.T) {
		for _, header := range []bool{true, false} { // without one, the milter is sent the end of the message alone
			mark := g.Log.Mark()
			g.write(t, "ehlogate.toml", strings.Replace(g.config, "add_header = true", fmt.Sprint("add_header = ", header), 1))
			if err := g.HUP(); err != nil {
				t.Fatal(err)
			}
			if _, err := g.Log.Await(soon(t), regexp.MustCompile("config reloaded"), mark); err != nil {
				t.Fatal(err)
			}
			const limit = 3500 * time.Millisecond
			took := quickest(limit, func() time.Duration {
				c := hello(t, s.Addr(), unlisted, "client.example", true)
				defer c.Close()
				for _, command := range []string{"MAIL FROM:<a@example.com>", "RCPT TO:<b@mta.test>", "DATA"} {
					if r, err := c.Command(command); err != nil || r.Code >= 400 {
						t.Fatalf("%s: %v, %v", command, r, err)
					}
				}
				if err := g.Hang(soon(t)); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				r, err := c.SendRaw("Subject: x\r\n\r\nhello\r\n.\r\n")
				took := time.Since(began)
				if err != nil || r.Code != 250 {
					t.Errorf("add_header = %v: %v, %v after %v", header, r, err, took)
				}
				if err := g.Resume(); err != nil {
					t.Fatal(err)
				}
				return took
			})
			if took > limit {
				t.Errorf("add_header = %v: the message took %v, want at most %v", header, took, limit)
			}
		}
	})
	t.Run("down", func(t *testing.T) {
		if err := g.Kill(soon(t)); err != nil {
			t.Fatal(err)
		}
		c := hello(t, s.Addr(), denied, "client.example", true)
		defer c.Close()
		if code, _ := message(c); code != 250 {
			t.Errorf("the message is answered %d", code)
		}
	})
}

// TestSendmailMilterHangs checks that a milter which hangs in the middle of a message holds it up no longer than the example
// says: its R: limits the wait for the answer to the end of a message, too, for which E: allows five minutes.
func TestSendmailMilterHangs(t *testing.T) {
	testenv.Needs(t, "root", "Sendmail")
	t.Parallel()
	for _, header := range []string{"true", "false"} {
		t.Run("add_header = "+header, func(t *testing.T) {
			t.Parallel()
			g := startDaemon(t, "sendmail", "", nil, strings.Replace(enforceLists, "add_header = true", "add_header = "+header, 1),
				map[string]string{"strict.list": "#\n", "deny.list": "#\n"})
			ports, err := mtatest.FreePorts(1)
			if err != nil {
				t.Fatal(err)
			}
			s := runSendmail(t, ports[0], onlyPorts(t, "sendmail/ehlogate.mc", map[string]string{
				"dnl INPUT_MAIL_FILTER": "INPUT_MAIL_FILTER", "inet:10044@127.0.0.1": sendmailInet(g.milter),
			}))
			c := hello(t, s.Addr(), unlisted, "client.example", true)
			defer c.Close()
			for _, step := range []struct {
				command string
				code    int
			}{{"MAIL FROM:<a@client.example>", 250}, {"RCPT TO:<b@mta.test>", 250}, {"DATA", 354}} {
				if r, err := c.Command(step.command); err != nil || r.Code != step.code {
					t.Fatalf("%s: %v, %v", step.command, r, err)
				}
			}
			if err := g.Hang(soon(t)); err != nil {
				t.Fatal(err)
			}
			c.Timeout = 8 * time.Second
			if r, err := c.Command("Subject: x\r\n\r\nhello\r\n."); err != nil || r.Code != 250 {
				t.Errorf("the message is answered %v, %v", r, err)
			}
			if err := g.Resume(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
