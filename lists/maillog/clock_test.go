package maillog

import (
	"fmt"
	"testing"
	"time"
)

// What a session is does not depend on the clock: sessions of Sendmail have no line at their end, and a process ID comes
// again. A log that is read while it is written is not cut at each look.
func TestClock(t *testing.T) {
	const begin, end = "NOQUEUE: STARTTLS=server, relay=a.example [192.0.2.1], version=TLSv1.3, verify=NO",
		"5AS50005: from=<a@example.org>, size=1, class=0, nrcpts=1, msgid=<1>, proto=ESMTPS, daemon=MTA, relay=a.example [192.0.2.1]"
	type line struct{ at, host, text string }
	session := func(at, host string) []line { return []line{{at, host, begin}, {at, host, end}} }
	join := func(all ...[]line) (joined []line) {
		for _, lines := range all {
			joined = append(joined, lines...)
		}
		return joined
	}
	for _, test := range []struct {
		name     string
		lines    []line
		sessions int
	}{
		{"hours apart", join(session("2026-11-28T05:00:00", "a"), session("2026-11-28T07:00:00", "a")), 2},
		{"set back", join(session("2030-01-01T00:00:00", "a"), session("2026-11-28T05:00:00", "a"), session("2026-11-28T07:00:00", "a")), 2},
		{"another log of the host", join(session("2026-11-28T05:00:00", "a"), session("2026-11-01T05:00:00", "a"), session("2026-11-01T07:00:00", "a")), 2},
		{"log of another host", join(session("2026-11-28T05:00:00", "a"), session("2026-11-01T05:00:00", "b"), session("2026-11-01T07:00:00", "b")), 3},
		{"two zones", join(session("2026-11-28T05:00:00", "a"), session("2026-11-28T06:00:00", "b"), session("2026-11-28T05:00:30", "a"), session("2026-11-28T06:00:30", "b")), 2},
		{"summer time ends", join(session("2026-10-25T02:59:59", "a"), session("2026-10-25T02:00:00", "a"), session("2026-10-25T02:30:00", "a")), 2},
	} {
		for _, live := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, live %t", test.name, live), func(t *testing.T) {
				sessions, messages := 0, 0
				r := NewReader(Options{Zone: time.UTC}, func(s *Session) {
					sessions++
					messages += s.Messages
					if s.TLS != TLSOK || s.Messages == 0 {
						t.Errorf("a session was cut: %s", describe(s))
					}
				})
				for _, l := range test.lines {
					r.Read(fmt.Appendf(nil, "%s+00:00 %s sm-mta[7]: %s", l.at, l.host, l.text))
					if live {
						r.Wait(time.Second)
					}
				}
				r.Flush()
				if sessions != test.sessions || messages != len(test.lines)/2 {
					t.Errorf("%d sessions with %d messages, want %d with %d", sessions, messages, test.sessions, len(test.lines)/2)
				}
			})
		}
	}
}

// Failures are compared by the time between them, not by what a clock said.
func TestScannerClock(t *testing.T) {
	for _, test := range []struct {
		first, second string
		want          Outcome
	}{
		{"2026-10-25T02:30:00", "2026-10-25T02:30:20", OutcomeScanner},
		{"2026-10-25T02:30:00", "2026-10-25T02:31:20", OutcomeIncapable},
		{"2030-01-01T00:00:00", "2026-11-28T05:00:00", OutcomeScanner}, // the clock was set back meanwhile
	} {
		sessions, _ := readLog(test.first + "Z mx sm-mta[7]: STARTTLS=server, error: accept failed=-1, reason=no shared cipher, SSL_error=1, relay=[192.0.2.1]\n" +
			test.second + "Z mx sm-mta[8]: STARTTLS=server, error: accept failed=-1, reason=unsupported protocol, SSL_error=1, relay=[192.0.2.1]\n")
		if len(sessions) != 2 || sessions[0].Outcome != test.want || sessions[1].Outcome != test.want {
			t.Errorf("%s, %s: got %d sessions, %v", test.first, test.second, len(sessions), sessions)
		}
	}
}

// A client that asks for TLS where it is hidden is refused. That is no way of failing.
func TestRefusedIsNoScanner(t *testing.T) {
	const begin, client = "2026-11-28T05:00:%02dZ mx postfix/smtpd[7]: ", "a.example.org[192.0.2.1]"
	line := func(second int, text string) string { return fmt.Sprintf(begin, second) + text + "\n" }
	sessions, _ := readLog(line(0, "connect from "+client) + line(1, "disconnect from "+client+" ehlo=1 starttls=0/1 mail=1 rcpt=1 data=1 quit=1 commands=5/6") +
		line(10, "connect from "+client) + line(11, "SSL_accept error from "+client+": -1") +
		line(11, "warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:") +
		line(11, "lost connection after STARTTLS from "+client) + line(11, "disconnect from "+client+" ehlo=1 starttls=0/1 commands=1/2"))
	if len(sessions) != 2 || sessions[0].Class != classRefused || sessions[1].Outcome != OutcomeIncapable {
		t.Errorf("got %d sessions, %v", len(sessions), sessions)
	}
}
