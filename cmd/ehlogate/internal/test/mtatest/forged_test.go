package mtatest_test

import (
	"crypto/tls"
	"encoding/base64"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/maillog"
	"ehlogate/lists/test/testenv"
)

// forgedNetwork has the addresses that clients name in what they send. None of them is a client.
var forgedNetwork = netip.MustParsePrefix("203.0.113.0/24")

// forgeries are what a client sends to look like the server in its log.
var forgeries = []string{
	"x[203.0.113.9]", "x [203.0.113.9]", "x) [203.0.113.9]:25", "x) [203.0.113.9] (gnutls_handshake): timed out", "[203.0.113.9]",
	"x) [203.0.113.9]:4000 I=[127.0.0.1]:25 X=TLS1.3:X:256 CV=no", "x H=y [203.0.113.9] P=esmtps", "x, relay=y [203.0.113.9]",
	"x, nrcpts=1, daemon=MTA, relay=y [203.0.113.9]", "x: SSL_accept error from y[203.0.113.9]: -1", "x\nconnect from y[203.0.113.9]",
	"x\\nNov 28 05:00:00 mx postfix/smtpd[1]: connect from y[203.0.113.9]", "x\rpostfix/smtpd[1]: disconnect from y[203.0.113.9] starttls=1",
	"x\x00STARTTLS=server, relay=y [203.0.113.9], version=TLSv1.3", "x\x1b[2K[203.0.113.9]", "x\u202e[203.0.113.9]", "\"x\" [203.0.113.9]",
	"x> helo=<y[203.0.113.9]>", "x client=y[203.0.113.9]", "\xff\xfe [203.0.113.9]", "x did not issue MAIL/EXPN/VRFY/ETRN during connection to y [203.0.113.9]",
}

// forgeryLengths are lengths to which a forgery is filled up, on either side: servers and syslog cut lines at many.
var forgeryLengths = []int{0, 0, 0, 60, 200, 256, 500, 800, 850, 900, 1000, 2000, 4000, 8000, 8192, 16000}

// playForger plays a session of a client that has something of its own in each command. It reports whether TLS was used.
func playForger(t *testing.T, r *rand.Rand, lengths []int, addr, client string) (usedTLS bool, err error) {
	choose := func() string {
		text, filler := forgeries[r.IntN(len(forgeries))], strings.Repeat("a", lengths[r.IntN(len(lengths))])
		if r.IntN(2) == 0 {
			return text + filler
		}
		return filler + text
	}
	c, err := mtatest.Dial(t.Context(), addr, client)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if err := banner(c); err != nil {
		return false, err
	}
	commands := []func() string{
		func() string { return "EHLO " + choose() }, func() string { return "HELO " + choose() }, func() string { return choose() },
		func() string { return "MAIL FROM:<\"" + choose() + "\"@client.example>" }, func() string { return "MAIL FROM:<" + choose() + ">" },
		func() string { return "RCPT TO:<\"" + choose() + "\"@elsewhere.example>" }, func() string { return "VRFY " + choose() },
		func() string { return "RCPT TO:<b@mta.test>" }, func() string { return "EHLO " + choose() },
		func() string {
			return "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+choose()+"\x00x"))
		},
	}
	for _, i := range r.Perm(len(commands)) {
		if _, err := c.Command(commands[i]()); err != nil {
			return false, nil // the server may hang up
		}
	}
	if r.IntN(2) == 0 {
		return false, nil
	}
	if sayEHLO(c) != nil || starttls(c) != nil {
		return false, nil
	}
	name := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '.'
		}
		return r
	}, choose())
	if _, err := c.HandshakeWith(clientConfig(func(config *tls.Config) { config.ServerName = name[:min(len(name), 250)] })); err != nil {
		return false, nil
	}
	for _, i := range r.Perm(len(commands)) {
		if _, err := c.Command(commands[i]()); err != nil {
			break
		}
	}
	return true, nil
}

// TestForgedSessions has clients put other addresses in all that a client chooses, and reads the logs of real servers.
func TestForgedSessions(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "Sendmail", "Exim")
	t.Parallel()
	const clients = 120
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: []mtatest.Service{{Name: "d"}},
		Main: "smtpd_tls_loglevel = 1\nsmtpd_hard_error_limit = 1000\nsmtpd_soft_error_limit = 1000\nsmtpd_error_sleep_time = 0\nsmtpd_client_connection_count_limit = 0\n"})
	ports, err := mtatest.FreePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	s := runSendmailWith(t, mtatest.SendmailConfig{Port: ports[3], Syslog: true})
	servers := []*logging{
		{name: logSMTPD, network: 21, log: p.Maillog(), ports: map[string]string{"": p.Addr("d")}, ended: awaitEndIn(t, p, `/smtpd\[\d+\]: disconnect from \S*\[%s\]`)},
		{name: logSendmail, network: 22, log: s.Maillog(), ports: map[string]string{"": s.Addr()}, idle: func() {
			if err := s.AwaitIdle(soon(t)); err != nil {
				t.Error(err)
			}
		}},
	}
	const junk = "helo_accept_junk_hosts = *\nhelo_allow_chars = ()[]:.\nsmtp_max_synprot_errors = 1000\nsmtp_max_unknown_commands = 1000\ntls_advertise_hosts = *\n"
	for i, selector := range []string{"", "log_selector = +all\n", "log_selector = +incoming_port +smtp_no_mail +tls_sni\n"} {
		e := runEximWith(t, mtatest.EximConfig{Dir: tempDir(t), Port: ports[i], Main: junk + selector})
		servers = append(servers, &logging{name: logExim, network: 23 + i, log: e.Maillog(), ports: map[string]string{"": e.Addr()}, idle: func() {
			if err := e.AwaitIdle(soon(t)); err != nil {
				t.Error(err)
			}
		}})
	}
	for _, server := range servers {
		lengths := forgeryLengths
		if server.name == logExim { // which panics if it is to answer to longer ones
			lengths = slices.DeleteFunc(slices.Clone(lengths), func(n int) bool { return n > 1000 })
		}
		usedTLS := make([]bool, clients)
		var group errgroup.Group
		group.SetLimit(8)
		for i := range clients {
			group.Go(func() (err error) {
				usedTLS[i], err = playForger(t, rand.New(rand.NewPCG(uint64(i), 1)), lengths, server.ports[""], server.client(i))
				if err == nil && server.ended != nil {
					server.ended(server.client(i))
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("%s: %v", server.name, err)
		}
		if server.idle != nil {
			server.idle()
		}
		sessions, stats := readSessions(t, server)
		found := 0
		for addr, all := range sessions {
			if a := netip.MustParseAddr(addr); forgedNetwork.Contains(a) || a.Is4() && a.As4()[0] != 127 {
				t.Errorf("%s: evidence for %s: %+v\n%s", server.name, addr, all[0], linesOf(t, server.log.Path(), addr))
			}
		}
		for i := range clients {
			all := sessions[server.client(i)]
			if len(all) > 0 {
				found++
			}
			isTLS := slices.ContainsFunc(all, func(s *maillog.Session) bool { return s.TLS == maillog.TLSOK })
			if isTLS && !usedTLS[i] {
				t.Errorf("%s: client %d used no TLS, got %+v\n%s", server.name, i, all[0], linesOf(t, server.log.Path(), server.client(i)))
			}
			if server.name == logSMTPD && (len(all) != 1 || isTLS != usedTLS[i]) {
				t.Errorf("%s: client %d used TLS: %t, got %v", server.name, i, usedTLS[i], all)
			}
		}
		t.Logf("%s: %d of %d clients have sessions, %+v", server.name, found, clients, stats)
	}
}
