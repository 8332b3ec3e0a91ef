package maillog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// classOfLine returns the class that a line tells by itself.
func classOfLine(line string) Class {
	if e, ok := parseLibraryError([]byte(line)); ok && strings.Contains(line, "TLS library problem") {
		return e.class
	}
	if strings.Contains(line, "ciphertext read/write timeout") {
		return classTimeout
	}
	sessions, _ := readLog(line)
	if len(sessions) != 1 {
		return ClassNone
	}
	return sessions[0].Class
}

// The line of a session is one of the log, and tells the class of the session.
func TestLineTellsClass(t *testing.T) {
	logs, err := filepath.Glob("testdata/sessions/*.log")
	if err != nil {
		t.Fatal(err)
	}
	// They say that a handshake failed, and nothing of the reason: what came before or did not come before tells it.
	silent := map[Class]bool{ClassOther: true, classLostConnection: true, classLocal: true}
	lines := map[Server]int{}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		sessions, _ := readLog(string(text))
		for _, s := range sessions {
			isSilent := s.Server == Postscreen && strings.Contains(s.Line, "TLS handshake failed for") && silent[s.Class]
			switch hasNone := s.Class == classRefused || s.Class == classLostAfter || s.Class == classNoMail || !s.IsFailure(); {
			case s.Line == "" && !hasNone && s.Class != classLocal && s.Class != ClassOther, s.Line != "" && hasNone:
				t.Errorf("%s: %s", log, describe(s))
			case s.Line == "":
			case !bytes.Contains(text, []byte(s.Line)):
				t.Errorf("%s: not in the log: %s", log, s.Line)
			case classOfLine(s.Line) != s.Class && !isSilent:
				t.Errorf("%s: the line says %v: %s", log, classOfLine(s.Line), describe(s))
			default:
				lines[s.Server]++
			}
		}
	}
	for _, server := range Servers() {
		if lines[server] < 5 {
			t.Errorf("%v: %d lines prove nothing", server, lines[server])
		}
	}
}

// What a client makes long pushes neither the reason nor its address out of the line that is kept.
func TestLongLineOfSession(t *testing.T) {
	name := strings.Repeat("a.", 126) + "a"
	for what, tc := range map[string]struct{ line, reason string }{
		"Sendmail": {"Nov 28 05:00:00 mx1.a-long-name.example.org sm-mta[123456]: STARTTLS=server, error: accept failed=-1, reason=no shared cipher, SSL_error=1, errno=0, retry=-1, relay=" +
			name + " [2001:db8:1111:2222:3333:4444:5555:6666]", "reason=no shared cipher"},
		"Exim, GnuTLS": {"2026-11-28 05:00:00 TLS error on connection from (" + strings.Repeat("x", 7000) +
			") [2001:db8:1111:2222:3333:4444:5555:6666]:54321 I=[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:25 (gnutls_handshake): No supported cipher suites have been found.", "No supported cipher suites have been found."},
		"Exim, OpenSSL": {"2026-11-28 05:00:00 TLS error on connection from " + name + " (" + strings.Repeat("x", 253) +
			") [2001:db8:1111:2222:3333:4444:5555:6666]:54321 I=[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:25 (SSL_accept): error:0A0000C1:SSL routines::no shared cipher", "no shared cipher"},
	} {
		sessions, _ := readLog(tc.line)
		if len(sessions) != 1 || sessions[0].Class != classNoSharedCipher {
			t.Fatalf("%s: %v", what, sessions)
		}
		line := sessions[0].Line
		before, after, isCut := strings.Cut(line, lineCut)
		if len(line) != MaxSessionLine || !isCut || !strings.HasPrefix(tc.line, before) || !strings.HasSuffix(tc.line, after) {
			t.Errorf("%s: %d bytes: %s", what, len(line), line)
		}
		if !strings.Contains(line, tc.reason) || !strings.Contains(line, "[2001:db8:1111:2222:3333:4444:5555:6666]") {
			t.Errorf("%s: the reason or the address is missing: %s", what, line)
		}
	}
	for n := MaxSessionLine - 1; n <= MaxSessionLine; n++ {
		if line := strings.Repeat("x", n); string(keepLine(nil, []byte(line))) != line {
			t.Errorf("a line of %d bytes is cut", n)
		}
	}
}

// A session has no line of another, though it has its memory.
func TestLineIsOfSession(t *testing.T) {
	var log strings.Builder
	for i := range 3 {
		peer := fmt.Sprintf("a[192.0.2.%d]", i)
		fmt.Fprintf(&log, "Nov 28 05:0%[1]d:00 mx postfix/smtpd[1]: connect from %[2]s\n", i, peer)
		if i == 1 {
			fmt.Fprintf(&log, "Nov 28 05:0%[1]d:00 mx postfix/smtpd[1]: SSL_accept error from %[2]s: lost connection\n", i, peer)
		}
		fmt.Fprintf(&log, "Nov 28 05:0%[1]d:00 mx postfix/smtpd[1]: disconnect from %[2]s ehlo=1 starttls=0/1 commands=1/2\n", i, peer)
	}
	sessions, _ := readLog(log.String())
	if len(sessions) != 3 {
		t.Fatal(sessions)
	}
	for i, s := range sessions {
		if want := strings.Contains(s.Line, "lost connection"); want != (i == 1) || !want && s.Line != "" {
			t.Errorf("%s", describe(s))
		}
	}
}

// Where more than one handshake of a tlsproxy is open, what its library said may be about another client, and is not shown as
// the line of one.
func TestLineOfProxy(t *testing.T) {
	const frame = "Nov 28 05:00:00 mx postfix/tlsproxy[9]: "
	library := frame + "warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:"
	first, second := "[192.0.2.1]:4001", "[192.0.2.2]:4002"
	failed := frame + "TLS handshake failed for service=smtpd peer="
	for _, tc := range []struct {
		lines []string
		want  map[string]string
	}{
		{[]string{frame + "CONNECT from " + first, library, failed + first}, map[string]string{"192.0.2.1": library}},
		{[]string{frame + "CONNECT from " + first, frame + "CONNECT from " + second, library, failed + first, failed + second},
			map[string]string{"192.0.2.1": failed + first, "192.0.2.2": failed + second}},
		{[]string{frame + "CONNECT from " + first, frame + "warning: ciphertext read/write timeout for " + first, failed + first},
			map[string]string{"192.0.2.1": frame + "warning: ciphertext read/write timeout for " + first}},
	} {
		sessions, _ := readLog(strings.Join(tc.lines, "\n"))
		if len(sessions) != len(tc.want) {
			t.Errorf("got %d sessions", len(sessions))
		}
		for _, s := range sessions {
			if s.Line != tc.want[s.Addr.String()] {
				t.Errorf("got %s\nwant %s", describe(s), tc.want[s.Addr.String()])
			}
		}
	}
}
