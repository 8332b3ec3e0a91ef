package maillog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// readLog returns the sessions of a log, and what was counted.
func readLog(log string) (sessions []*Session, stats Stats) {
	r := NewReader(Options{Zone: time.UTC, Newest: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}, func(s *Session) {
		kept := *s
		sessions = append(sessions, &kept)
	})
	for line := range strings.Lines(log) {
		r.Read([]byte(strings.TrimRight(line, "\r\n")))
	}
	r.Flush()
	return sessions, r.Stats()
}

// describe returns a session as testdata has it.
func describe(s *Session) string {
	var b strings.Builder
	at := "-"
	if !s.Time.IsZero() {
		at = s.Time.UTC().Format("2006-01-02T15:04:05.999")
	}
	fmt.Fprintf(&b, "%s %v/%s %v tls=%v", at, s.Server, s.Service, s.Addr, s.TLS)
	for _, field := range []struct{ name, value string }{
		{"host", s.Host}, {"name", s.Name}, {"helo", s.HELO}, {"version", s.Version}, {"class", s.Class.String()},
		{"outcome", s.Outcome.String()}, {"mail", s.Mail.String()}, {"line", s.Line},
	} {
		if field.value != "" {
			fmt.Fprintf(&b, " %s=%q", field.name, field.value)
		}
	}
	if s.Messages > 0 {
		fmt.Fprintf(&b, " messages=%d", s.Messages)
	}
	if s.LoggedIn {
		b.WriteString(" login")
	}
	if s.Complete {
		b.WriteString(" complete")
	}
	return b.String()
}

// TestLogs reads each log of testdata/sessions, of which .want has the sessions and the lines that were not used. With
// EHLOGATE_UPDATE=1 it writes them, to be read before they are committed.
func TestLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/sessions/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	for _, log := range logs {
		t.Run(filepath.Base(log), func(t *testing.T) {
			text, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			sessions, stats := readLog(string(text))
			var got bytes.Buffer
			for _, s := range sessions {
				fmt.Fprintln(&got, describe(s))
			}
			fmt.Fprintf(&got, "lines=%d foreign=%d unframed=%d unclear=%d orphans=%d local=%d\n", stats.Lines, stats.Foreign,
				stats.Unframed, stats.Unclear, stats.Orphans, stats.Local)
			file := strings.TrimSuffix(log, ".log") + ".want"
			if os.Getenv("EHLOGATE_UPDATE") != "" {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}
		})
	}
}

// The severity that stands for the host is not a part of what tells processes apart.
func TestSeverity(t *testing.T) {
	sessions, _ := readLog("2026-11-28T05:44:47Z INFO    postfix/smtpd[1]: SSL_accept error from a.example[192.0.2.1]: -1\n" +
		"2026-11-28T05:44:47Z WARNING postfix/smtpd[1]: warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:\n")
	if len(sessions) != 1 || sessions[0].Class != classNoSharedCipher {
		t.Errorf("got %v", sessions)
	}
}

// Each line is read the same in each frame in which logs have it.
func TestFrames(t *testing.T) {
	lines := []string{
		"connect from mx.example.org[192.0.2.208]",
		"SSL_accept error from mx.example.org[192.0.2.208]: -1",
		"warning: TLS library problem: error:1408A0C1:SSL routines:ssl3_get_client_hello:no shared cipher:s3_srvr.c:1417:",
		"lost connection after STARTTLS from mx.example.org[192.0.2.208]",
		"disconnect from mx.example.org[192.0.2.208] ehlo=1 starttls=0/1 commands=1/2",
	}
	want := `postfix/smtp 192.0.2.208 tls=failed name="mx.example.org" class="no-shared-cipher" outcome="incapable" mail="none"`
	at := "2026-11-28T05:44:47 "
	for _, frame := range []struct{ name, format, time, host string }{
		{"RFC 3164", "Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"RFC 3164, day of one digit", "Nov  8 05:44:47 host postfix/smtpd[1]: %s", "2026-11-08T05:44:47 ", "host"},
		{"RFC 3164, last year", "Dec 31 05:44:47 host postfix/smtpd[1]: %s", "2025-12-31T05:44:47 ", "host"},
		{"RFC 3164, leap day", "Feb 29 05:44:47 host postfix/smtpd[1]: %s", "2024-02-29T05:44:47 ", "host"},
		{"RFC 3164, priority", "<22>Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"Solaris", "Nov 28 05:44:47 host postfix/smtpd[1]: [ID 197553 mail.info] %s", at, "host"},
		{"ISO 8601", "2026-11-28T05:44:47+00:00 host postfix/smtpd[1]: %s", at, "host"},
		{"ISO 8601, fraction, zone", "2026-11-28T06:44:47.125000+01:00 host postfix/smtpd[1]: %s", "2026-11-28T05:44:47.125 ", "host"},
		{"ISO 8601, UTC", "2026-11-28T05:44:47Z host postfix/smtpd[1]: %s", at, "host"},
		{"ISO 8601, space", "2026-11-28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"RFC 5424", "<22>1 2026-11-28T05:44:47Z host postfix/smtpd 1 - - %s", at, "host"},
		{"RFC 5424, data", `<22>1 2026-11-28T05:44:47Z host postfix/smtpd 1 - [a b="]\" x"][c] %s`, at, "host"},
		{"RFC 5424, BOM", "<22>1 2026-11-28T05:44:47Z host postfix/smtpd 1 - - \xef\xbb\xbf%s", at, "host"},
		{"docker compose", "mail_1              | Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"docker compose, twice", "mail    | Nov 28 05:44:47 host postfix/smtpd[1]: mail    | Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"docker", `{"log":"Nov 28 05:44:47 host postfix/smtpd[1]: %s\n","stream":"stdout","time":"2026-11-28T05:44:48Z"}`, at, "host"},
		{"journal", `{"__REALTIME_TIMESTAMP":"1795844687000000","_HOSTNAME":"host","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"1","MESSAGE":"%s"}`, at, "host"},
		{"no time", "postfix/smtpd[1]: %s", "- ", ""},
		{"no host", "Nov 28 05:44:47 postfix/smtpd[1]: %s", at, ""},
		{"no host, ISO 8601", "2026-11-28T05:44:47Z postfix/smtpd[1]: %s", at, ""},
		{"day without padding", "Nov 8 05:44:47 host postfix/smtpd[1]: %s", "2026-11-08T05:44:47 ", "host"},
		{"FreeBSD, verbose", "Nov 28 05:44:47 <mail.info> host postfix/smtpd[1]: %s", at, "host"},
		{"severity in place of the host", "2026-11-28T05:44:47.000000+00:00 INFO    postfix/smtpd[1]: %s", at, ""},
		{"docker logs -t", "2026-11-28T05:44:48.127419448Z Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"docker logs -t, ISO 8601", "2026-11-28T05:44:48.127419448Z 2026-11-28T05:44:47Z INFO    postfix/smtpd[1]: %s", at, ""},
		{"Kubernetes", "2026-11-28T05:44:48.127419448Z stdout F Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"docker in syslog", "Nov 28 05:44:48 outer docker[9]: Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"container in syslog", "2026-11-28T05:44:48Z outer 8e55eafcefa9[9]: Nov 28 05:44:47 host postfix/smtpd[1]: %s", at, "host"},
		{"docker in the journal", `{"__REALTIME_TIMESTAMP":"1795844688000000","_HOSTNAME":"outer","SYSLOG_IDENTIFIER":"8e55eafcefa9","_PID":"9","_UID":"0",` +
			`"_SYSTEMD_UNIT":"docker.service","MESSAGE":"Nov 28 05:44:47 host postfix/smtpd[1]: %s"}`, at, "host"},
	} {
		t.Run(frame.name, func(t *testing.T) {
			var log strings.Builder
			for _, line := range lines {
				fmt.Fprintf(&log, frame.format+"\n", line)
			}
			sessions, stats := readLog(log.String())
			line := fmt.Sprintf(frame.format, lines[2])
			if line[0] == '{' { // the text in it, as docker(1) or journalctl(1) shows it
				if line = "host postfix/smtpd[1]: " + lines[2]; strings.Contains(frame.format, "Nov 28") {
					line = "Nov 28 05:44:47 " + line
				}
			}
			want := frame.time + want + fmt.Sprintf(" line=%q complete", line)
			if frame.host != "" {
				want = strings.Replace(want, " name=", fmt.Sprintf(" host=%q name=", frame.host), 1)
			}
			if len(sessions) != 1 || describe(sessions[0]) != want {
				for _, s := range sessions {
					t.Logf("got  %s", describe(s))
				}
				t.Errorf("want %s, and nothing else; %+v", want, stats)
			}
		})
	}
}
