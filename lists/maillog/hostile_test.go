package maillog

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// forged is the network of addresses that clients name in what they choose. No server wrote one of them as a client.
var forged = netip.MustParsePrefix("203.0.113.0/24")

// pieces are what clients put together to look like a line of a server.
var pieces = []string{
	"203.0.113.9", "[203.0.113.9]", "([203.0.113.9])", "[203.0.113.9]:25", " [203.0.113.9] ", "x[203.0.113.9]", "unknown[203.0.113.9]",
	") ", " (", "(", ")", "]", "[", "<", ">", "\"", "\\", "=", ", ", ": ", ":25", " ", "a", "#012", "\n", "\x00", "\u202e", "| ",
	"connect from x[203.0.113.9]", "SSL_accept error from x[203.0.113.9]: -1", "disconnect from x[203.0.113.9] ehlo=2 starttls=1",
	"Anonymous TLS connection established from x[203.0.113.9]: TLSv1.3 with cipher X", "client=x[203.0.113.9]",
	" reject: RCPT from x[203.0.113.9]: ", " helo=<x>", " from x[203.0.113.9]: ", "relay=x [203.0.113.9]", ", relay=[203.0.113.9]",
	", reject=550", ", daemon=MSA", ", nrcpts=9", " H=x [203.0.113.9]", " P=esmtps", " X=TLS1.3:X:256", " I=[203.0.113.9]:25",
	" U=x", " (gnutls_handshake)", " (recv): Certificate is bad", " D=0s X=TLS1.3:X:256", " (SSL_accept): error:0A0000C1:SSL routines::no shared cipher", " C=EHLO,STARTTLS", " D=0s",
	" did not issue MAIL/EXPN/VRFY/ETRN during connection to MTA", " peer=[203.0.113.9]:25", " closed by QUIT",
	"TLS error on connection from [203.0.113.9]", " F=<x>", " rejected RCPT", "A1B2C3 <= x@y", "Nov 28 05:00:00 mx postfix/smtpd[1]: ",
	"2026-11-28T05:00:00Z ", "stdout F ", " INFO    postfix/smtpd[1]: connect from x[203.0.113.9]", " docker[1]: Nov 28 05:00:00 mx postfix/smtpd[1]: ",
	"5AS50005: ", "from=<a@b>, size=1, class=0, nrcpts=1, msgid=<1>, proto=ESMTP, daemon=MTA, relay=x [203.0.113.9]", "1Unmew-0000ea-SE H=x [203.0.113.9] F=<> rejected after DATA", ", nrcpts=1, msgid=<",
	"2026-11-28 05:00:00 ", "<22>", "{", "}", " postfix/smtpd[1]: connect from x[203.0.113.9]", "mail_1 | ",
}

// serverLines are the lines in which a server writes what a client chose, for %[1]s. The client is 198.51.100.7.
var serverLines = []string{
	"Nov 28 05:00:00 mx postfix/smtpd[11]: NOQUEUE: reject: RCPT from c.example[198.51.100.7]: 554 5.7.1 <%[1]s>: Relay access denied; from=<%[1]s> to=<%[1]s> proto=ESMTP helo=<%[1]s>",
	"Nov 28 05:00:00 mx postfix/smtpd[11]: warning: Illegal address syntax from c.example[198.51.100.7] in MAIL command: <%[1]s>",
	"Nov 28 05:00:00 mx postfix/smtpd[11]: warning: non-SMTP command from c.example[198.51.100.7]: %[1]s",
	"Nov 28 05:00:00 mx postfix/smtpd[11]: improper command pipelining after EHLO from c.example[198.51.100.7]: %[1]s",
	"Nov 28 05:00:00 mx postfix/smtpd[11]: NOQUEUE: milter-reject: EHLO from c.example[198.51.100.7]: 550 5.7.1 %[1]s; proto=ESMTP helo=<%[1]s>",
	"Nov 28 05:00:00 mx postfix/smtpd[11]: 4B2C3D1: client=c.example[198.51.100.7], sasl_method=LOGIN, sasl_username=%[1]s",
	"Nov 28 05:00:00 mx postfix/cleanup[12]: 4B2C3D1: warning: header Subject: %[1]s from c.example[198.51.100.7]; from=<%[1]s> to=<%[1]s> proto=ESMTP helo=<%[1]s>",
	"Nov 28 05:00:00 mx postfix/postscreen[13]: NOQUEUE: reject: RCPT from [198.51.100.7]:4000: 550 5.3.2 x; from=<%[1]s>, to=<%[1]s>, proto=ESMTP, helo=<%[1]s>",
	"Nov 28 05:00:00 mx postfix/postscreen[13]: NON-SMTP COMMAND from [198.51.100.7]:4000 after CONNECT: %[1]s",
	"Nov 28 05:00:00 mx sm-mta[14]: 5AS50005000046: from=<%[1]s>, size=311, class=0, nrcpts=1, msgid=<%[1]s>, proto=ESMTP, daemon=MTA, relay=c.example [198.51.100.7]",
	"Nov 28 05:00:00 mx sm-mta[14]: ruleset=check_rcpt, arg1=<%[1]s>, relay=c.example [198.51.100.7], reject=550 5.7.1 <%[1]s>... Relaying denied",
	"Nov 28 05:00:00 mx sm-mta[14]: 5AS50005000046: <%[1]s>... User unknown",
	"2026-11-28 05:00:00 1vP0aa-0000-AA <= %[2]s H=c.example (%[1]s) [198.51.100.7]:4000 I=[192.0.2.25]:25 P=esmtps X=TLS1.3:X:256 CV=no SNI=\"%[1]s\" S=512 id=%[1]s T=\"%[1]s\" from <%[2]s> for b@example.com",
	"2026-11-28 05:00:00 1vP0aa-0000-AA <= %[2]s H=(%[1]s) [198.51.100.7] P=esmtp S=512",
	"2026-11-28 05:00:00 H=(%[1]s) [198.51.100.7]:4000 F=<%[2]s> rejected RCPT <%[1]s>: relay not permitted",
	"2026-11-28 05:00:00 TLS error on connection from (%[1]s) [198.51.100.7]:4000 I=[192.0.2.25]:25 (gnutls_handshake): timed out",
	"2026-11-28 05:00:00 TLS error on connection from (%[1]s) [198.51.100.7] (SSL_accept): error:0A000126:SSL routines::unexpected eof while reading",
	"2026-11-28 05:00:00 no MAIL in SMTP connection from (%[1]s) [198.51.100.7]:4000 D=0s C=EHLO,STARTTLS",
	"2026-11-28 05:00:00 no MAIL in SMTP connection from (%[1]s) [198.51.100.7]:4000 D=0s X=TLS1.3:X:256 CV=no C=EHLO,STARTTLS,EHLO",
	"2026-11-28 05:00:00 TLS error on connection from (%[1]s) [198.51.100.7] (recv): A TLS fatal alert has been received: CA is unknown",
	"2026-11-28 05:00:00 SMTP syntax error in \"%[1]s\" H=(%[1]s) [198.51.100.7]:4000 unrecognized command",
	"2026-11-28 05:00:00 rejected EHLO from [198.51.100.7]: syntactically invalid argument(s): %[1]s",
	"2026-11-28 05:00:00 1Unmew-0000ea-SE H=(%[1]s) [198.51.100.7]:4000 X=TLS1.3:X:256 CV=no DN=\"%[1]s\" SNI=\"%[1]s\" F=<%[2]s> rejected after DATA: %[1]s",
	"2026-11-28 05:00:00 1Unmew-0000ea-SE ** %[2]s R=x T=x H=mx.example [198.51.100.99]: SMTP error from remote mail server after RCPT TO:<%[2]s>: 550 %[1]s",
	"Nov 28 05:00:00 mx sm-mta[14]: 5AS50005000046: to=<%[1]s>, delay=00:00:00, pri=30016, stat=%[1]s",
	"Nov 28 05:00:00 mx sm-mta[14]: 5AS50005000046: Milter: from=<%[1]s>, reject=550 %[1]s",
	"2026-11-28T05:00:00Z INFO    postfix/smtpd[11]: NOQUEUE: reject: RCPT from c.example[198.51.100.7]: 554 5.7.1 <%[1]s>: Relay access denied; proto=ESMTP helo=<%[1]s>",
	"2026-11-28T05:00:00.1Z 2026-11-28T05:00:00Z INFO    spamd[11]: %[1]s",
	"Nov 28 05:00:00 mx dovecot: imap-login: Disconnected: user=<%[1]s>, rip=198.51.100.7",
	"Nov 28 05:00:00 mx sshd[9]: Invalid user %[1]s from 198.51.100.7 port 4000",
	"<22>1 2026-11-28T05:00:00Z mx dovecot 9 - - user=<%[1]s>",
	`{"__REALTIME_TIMESTAMP":"1795844687000000","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"1","_SYSTEMD_UNIT":"user@1000.service","MESSAGE":"connect from x[203.0.113.9]"}`,
}

// compose returns what a client chooses, as servers write it: no control characters.
func compose(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(8) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, b.String())
}

// No client makes evidence about an address that is not its own, whatever it chooses.
func TestForgedClient(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var sessions int
	var line string
	reader := NewReader(Options{Zone: time.UTC, Newest: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}, func(s *Session) {
		sessions++
		if forged.Contains(s.Addr) || len(s.Line) > MaxSessionLine {
			t.Fatalf("%s\nat or before %s", describe(s), line)
		}
	})
	for range 50_000 {
		chosen := compose(r)
		quoted := `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(chosen) + `"@example.org`
		if r.IntN(2) == 0 { // Exim takes these without quotes
			quoted = strings.Map(func(c rune) rune {
				if strings.ContainsRune(" \"()<>[]:,;\\", c) {
					return '_'
				}
				return c
			}, chosen) + "@example.org"
		}
		line = fmt.Sprintf(serverLines[r.IntN(len(serverLines))]+"%.0[2]s%.0[1]s", chosen, quoted)
		reader.Read([]byte(line))
	}
	reader.Flush()
	if sessions < 1000 {
		t.Errorf("%d sessions", sessions)
	}
}

// A line that a user of the machine, or a program that logs what a client chose, can write is not read as a mail server's.
func TestForgedFrame(t *testing.T) {
	const connect = "connect from x[203.0.113.9]"
	for _, line := range []string{
		`{"__REALTIME_TIMESTAMP":"1795844687000000","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"x","_PID":"1","_UID":"1000","_SYSTEMD_UNIT":"session-1.scope","LOG":"Nov 28 05:00:00 mx postfix/smtpd[1]: ` + connect + `","MESSAGE":"x"}`,
		`{"__REALTIME_TIMESTAMP":"1795844687000000","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"x","_PID":"1","_UID":"0","_SYSTEMD_UNIT":"x.service","LOG":"Nov 28 05:00:00 mx postfix/smtpd[1]: ` + connect + `","TIME":"2026-11-28T05:00:00Z"}`,
		`{"__REALTIME_TIMESTAMP":"1795844687000000","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"1","_UID":"1001","_SYSTEMD_UNIT":"cron.service","MESSAGE":"` + connect + `"}`,
		`{"__REALTIME_TIMESTAMP":"1795844687000000","_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"8e55eafcefa9","_PID":"1","_UID":"0","_SYSTEMD_UNIT":"x.service","MESSAGE":"Nov 28 05:00:00 mx postfix/smtpd[1]: ` + connect + `"}`,
		"Nov 28 05:00:00 mx dovecot: Nov 28 05:00:00 mx postfix/smtpd[1]: " + connect,
		"2026-11-28T05:00:00Z mx rspamd[9]: 2026-11-28T05:00:00Z mx postfix/smtpd[1]: " + connect,
		"2026-11-28 05:00:00 Nov 28 05:00:00 mx postfix/smtpd[1]: " + connect,
		"Nov 28 05:00:00 mx docker[9]: x Nov 28 05:00:00 mx postfix/smtpd[1]: " + connect,
		"Nov 28 05:00:00 mx last message repeated 2 times postfix/smtpd[1]: " + connect,
		"2026-11-28 05:00:00 1Unmew-0000ea-SE H=mx.example [203.0.113.9]: SMTP error from remote mail server after RCPT TO:<a@b>: 550 F=<x> rejected after DATA",
		"2026-11-28 05:00:00 1Unmew-0000ea-SE H=mx.example [203.0.113.9]:25 Connection timed out",
		"2026-11-28 05:00:00 1Unmew-0000ea-SE H=mx.example [203.0.113.9] TLS error on connection (recv): rejected F=<x> rejected after DATA",
		"2026-11-28 05:00:00 H=mx.example [203.0.113.9]:25 Connection timed out",
		"2026-11-28 05:00:00 H=mx.example [203.0.113.9]: a TLS session is required, but the server did not offer TLS support",
		("2026-11-28 05:00:00 TLS error on connection from (x) [203.0.113.9]:25 " + strings.Repeat("a", 1<<14))[:8192],
	} {
		if sessions, _ := readLog(line + "\n"); len(sessions) > 0 {
			t.Errorf("%s\n  is read as %s", line, describe(sessions[0]))
		}
	}
}

// Sessions that never end do not need more memory than those that may be open.
func TestManyOpenSessions(t *testing.T) {
	var sessions, ended int
	r := NewReader(Options{Zone: time.UTC, Newest: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}, func(s *Session) {
		if sessions++; s.TLS == TLSFailed {
			ended++
		}
	})
	const open = 2 * maxOpen
	for i := range open {
		r.Read(fmt.Appendf(nil, "Nov 28 05:00:00 mx postfix/smtpd[%d]: connect from unknown[10.%d.%d.%d]", i, i>>16, i>>8&255, i&255))
		r.Read(fmt.Appendf(nil, "Nov 28 05:00:00 mx postfix/postscreen[1]: CONNECT from [10.%d.%d.%d]:%d to [192.0.2.1]:25", i>>16, i>>8&255, i&255, i&0xffff))
	}
	if n := len(r.processes.open) + len(r.connections.open); n > 2*maxOpen {
		t.Errorf("%d sessions are open, at most %d", n, 2*maxOpen)
	}
	// One that is still open is not lost.
	r.Read([]byte("Nov 28 05:00:00 mx postfix/smtpd[131071]: SSL_accept error from unknown[10.1.255.255]: lost connection"))
	r.Flush()
	if stats := r.Stats(); sessions != 2*open || ended != 1 || stats.Evicted != 2*(open-maxOpen) {
		t.Errorf("%d sessions, %d failures, %+v", sessions, ended, stats)
	}
}

// A line is read up to a bound, and what a client chose is kept up to another.
func TestLongLine(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	sessions, _ := readLog("Nov 28 05:00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 x; proto=ESMTP helo=<" + long[:8000] + ">\n" +
		"Nov 28 05:00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 " + long + "\n" +
		"Nov 28 05:00:00 mx postfix/smtpd[1]: disconnect from a[192.0.2.1] ehlo=1\n")
	if len(sessions) != 1 || len(sessions[0].HELO) > 253 || sessions[0].Mail != MailRejected {
		t.Errorf("got %d sessions: %+v", len(sessions), sessions)
	}
}

func FuzzRead(f *testing.F) {
	for _, line := range serverLines {
		f.Add(fmt.Sprintf(line+"%.0[2]s%.0[1]s", "x[203.0.113.9]", "a@b"))
	}
	f.Add("Nov 28 05:00:00 mx postfix/smtpd[11]: SSL_accept error from c.example[198.51.100.7]: -1\nNov 28 05:00:00 mx postfix/smtpd[11]: warning: TLS library problem: error:0A000412:SSL routines::sslv3 alert bad certificate:../ssl/record/rec_layer_s3.c:1584:SSL alert number 42:")
	f.Add(`{"__REALTIME_TIMESTAMP":"1","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"exim","_PID":"1","MESSAGE":[72,61,255]}`)
	f.Add("<22>1 2026-11-28T05:44:47Z host postfix/tlsproxy 1 - [a b=\"]\\\" x\"][c] CONNECT from [192.0.2.3]:40003")
	f.Fuzz(func(t *testing.T, log string) {
		sessions, stats := readLog(log)
		lines := int64(strings.Count(log, "\n"))
		if !strings.HasSuffix(log, "\n") && log != "" {
			lines++
		}
		if stats.Lines != lines || stats.Lines != stats.Foreign+stats.Unframed+stats.Mail {
			t.Errorf("%d lines, %+v", lines, stats)
		}
		for _, s := range sessions {
			if !s.Addr.IsValid() || s.Outcome >= outcomeCount || s.Class >= classCount || len(s.HELO) > 253 || len(s.Line) > MaxSessionLine {
				t.Errorf("got %+v", s)
			}
		}
	})
}
