package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// logFeed writes the log of a Postfix with a session each minute, since a day ago.
type logFeed struct {
	d    *daemon
	path string
	at   time.Time
	read uint64 // lines
}

func (f *logFeed) write(lines ...string) {
	f.d.t.Helper()
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.d.t.Fatal(err)
	}
	defer file.Close()
	for _, line := range lines {
		fmt.Fprintln(file, line)
	}
	f.read += uint64(len(lines))
	f.d.waitUntil("the lines are read", func() bool {
		return f.d.scrape()[fmt.Sprintf("ehlogate_log_lines_total{source=%q}", f.path)] == fmt.Sprint(f.read)
	})
}

// sessions writes sessions of so many clients.
func (f *logFeed) sessions(count int, messages ...string) {
	f.d.t.Helper()
	var lines []string
	for i := range count {
		f.at = f.at.Add(time.Minute)
		for _, m := range messages {
			lines = append(lines, f.at.Format(time.RFC3339)+" mx postfix/smtpd[7]: "+strings.ReplaceAll(m, "PEER", fmt.Sprintf("unknown[192.0.2.%d]", i+1)))
		}
	}
	f.write(lines...)
}

// TestLogAlerts records a daemon that reads a log, in each thing that a log can tell, or be.
func TestLogAlerts(t *testing.T) {
	testenv.Needs(t, "promtool")
	path := filepath.Join(t.TempDir(), "mail.log")
	d := startJSONDaemon(t, logConfig(path, ""), map[string]string{"deny.list": "192.0.2.1\n"})
	f := &logFeed{d: d, path: path, at: time.Now().AddDate(0, 0, -1)}
	degraded, lag := fmt.Sprintf("ehlogate_log_degraded{source=%q}", path), fmt.Sprintf("ehlogate_log_lag_seconds{source=%q}", path)
	d.waitUntil("it has looked for the log", func() bool { return d.scrape()[degraded] == "1" })
	ok := []string{"connect from PEER", "Anonymous TLS connection established from PEER: TLSv1.3 with cipher X (256/256 bits)", "disconnect from PEER ehlo=2 starttls=1 mail=1 quit=1 commands=5"}
	failing := func(reason string) []string {
		return []string{"connect from PEER", "SSL_accept error from PEER: -1", "warning: TLS library problem: error:0A000418:SSL routines::" + reason + ":../ssl/x.c:1:",
			"lost connection after STARTTLS from PEER", "disconnect from PEER ehlo=1 starttls=0/1 commands=1/2"}
	}
	const page, source = `severity="page",mta="postfix"`, `severity="ticket",source=%q`
	r := recording{interval: 15}
	f.sessions(100, ok...)
	d.waitUntil("it is well", func() bool { return d.scrape()[degraded] == "0" })
	r.add(d)
	f.sessions(3, failing("no shared cipher")...)
	f.sessions(5, failing("tlsv1 alert unknown ca:../ssl/x.c:1:SSL alert number 48")...)
	f.sessions(10, "garbage of PEER")
	f.sessions(100, ok...)
	r.add(d) // as on most days
	f.write(slices.Repeat([]string{"\x00 no log"}, 300)...)
	r.add(d, "soon", "EhlogateLogNotUnderstood "+fmt.Sprintf(source, path))
	f.sessions(4, "connect from PEER", `warning: cannot get RSA private key from file "/etc/ssl/private/key.pem": disabling TLS support`, "lost connection after STARTTLS from PEER",
		"disconnect from PEER ehlo=1 starttls=0/1 commands=1/2")
	f.sessions(3, ok...)
	r.add(d, "soon", "EhlogateServerTLSBroken "+page)
	f.sessions(20, failing("tlsv1 alert unknown ca:../ssl/x.c:1:SSL alert number 48")...)
	f.sessions(30, ok...)
	r.add(d, "soon", "EhlogateCertificateRejected "+page)
	rejected := r.phases[len(r.phases)-1]
	rejected.firing = rejected.firing[1:] // for an hour
	over := rejected
	over.firing = nil
	r.phases = append(r.phases, rejected, over)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	d.waitUntil("it is degraded", func() bool { return d.scrape()[degraded] == "1" })
	r.add(d, "EhlogateLogDegraded "+fmt.Sprintf(source, path))
	if err := os.WriteFile(path, slices.Repeat([]byte(f.at.Format(time.RFC3339)+" mx postfix/smtpd[7]: a line\n"), 1_000_000), 0o600); err != nil {
		t.Fatal(err)
	}
	d.waitUntil("it is behind", func() bool {
		behind, err := strconv.ParseFloat(d.scrape()[lag], 64)
		return err == nil && behind > 900 && d.scrape()[degraded] == "0"
	})
	r.add(d, "EhlogateLogBehind "+fmt.Sprintf(source, path))
	r.test(t)
}
