package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// logConfig returns a config that reads a log.
func logConfig(log, state string) string {
	return fmt.Sprintf("logs = { files = [%q], state = %q }\n%s", log, state, denyList)
}

// TestLogs: what the log tells of a client is in the metrics, in the API and in explain, and decides nothing.
func TestLogs(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, logConfig(log, filepath.Join(t.TempDir(), "logs.json")), map[string]string{"deny.list": "192.0.2.1\n"})
	lines := func() string { return d.scrape()[fmt.Sprintf("ehlogate_log_lines_total{source=%q}", log)] }
	f, err := os.OpenFile(log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d.waitUntil("the log is open", func() bool {
		fmt.Fprintln(f, "2026-11-28T00:00:00+00:00 mx postfix/master[1]: reload")
		return lines() != "0"
	})
	for i := range 3 {
		for _, text := range []string{"connect from x.example.org[192.0.2.7]", "SSL_accept error from x.example.org[192.0.2.7]: -1",
			"warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:", "lost connection after STARTTLS from x.example.org[192.0.2.7]",
			"disconnect from x.example.org[192.0.2.7] ehlo=1 starttls=0/1 commands=1/2"} {
			fmt.Fprintf(f, "2026-11-28T%02d:00:00+00:00 mx postfix/smtpd[2]: %s\n", i, text)
		}
	}
	const failures = `ehlogate_client_tls_failures_total{class="no-shared-cipher",mta="postfix"}`
	d.waitUntil("two failures", func() bool { return d.scrape()[failures] == "2" }) // the third may still be one of a scanner
	code, body := d.getHTTP("/api/v1/clients?addr=192.0.2.7")
	for _, want := range []string{`"known": true`, `"name": "x.example.org"`, `"class": "no-shared-cipher"`, `"outcome": "incapable"`, `"count": 2`} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d, no %s in %s", code, want, body)
		}
	}
	code, body = d.getHTTP("/api/v1/clients?network=192.0.2.0/24")
	for _, want := range []string{`"daemon": {`, `"network": "192.0.2.0/24"`, `"clients": 1`, `"sessions": 2`, `"failed": 2`, `"messages": 0`, `"encrypted_clients": 0`} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%d, no %s in %s", code, want, body)
		}
	}
	if code, body := d.getHTTP("/api/v1/clients?network=192.0.2.8/29"); code != 200 || !strings.Contains(body, `"clients": 0`) {
		t.Errorf("%d %s", code, body)
	}
	for query, want := range map[string]int{"?network=192.0.2.7/24": 400, "?network=x": 400, "?addr=192.0.2.8": 200, "?addr=x": 400, "": 400, "?addr=192.0.2.7&helo=x": 400, "?addr=192.0.2.7&addr=192.0.2.8": 400} {
		if code, body := d.getHTTP("/api/v1/clients" + query); code != want || code == 200 && !strings.Contains(body, `"known": false`) {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"explain", "-c", filepath.Join(d.dir, "c.toml"), "192.0.2.7"}, &out, &errs); code != 0 {
		t.Errorf("explain: %d %s", code, errs.String())
	}
	for _, want := range []string{"192.0.2.7: offer", "log       2 sessions since 2026-11-2", "TLS failed in 2: no-shared-cipher x2 (incapable)\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	const none = "(one counts a minute after its end)\n"
	if code := run(t.Context(), []string{"explain", "-c", filepath.Join(d.dir, "c.toml"), "192.0.2.8"}, &out, &errs); code != 0 || !strings.Contains(out.String(), none) {
		t.Errorf("explain: %d, no %q in\n%s%s", code, none, out.String(), errs.String())
	}
	if code, body := d.getHTTP("/healthz"); code != 200 || !strings.Contains(body, `"status": "ok"`) || !strings.Contains(body, log) {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if d.suppressed("192.0.2.7") || !d.suppressed("192.0.2.1") {
		t.Error("wrong answers")
	}
}

// TestBrokenLog: a log that cannot be read is degraded, never unavailable, and a reload can take it out.
func TestBrokenLog(t *testing.T) {
	d := startDaemon(t, logConfig("/nonexistent/mail.log", "/nonexistent/logs.json"), map[string]string{"deny.list": "192.0.2.1\n"})
	d.waitUntil("it is degraded", func() bool {
		code, body := d.getHTTP("/healthz")
		if code != 200 || !d.suppressed("192.0.2.1") || d.suppressed("192.0.2.2") {
			t.Fatalf("%d %s", code, body)
		}
		return strings.Contains(body, `"status": "degraded"`) && strings.Contains(body, "no such file or directory")
	})
	if got := d.scrape()[`ehlogate_log_degraded{source="/nonexistent/mail.log"}`]; got != "1" {
		t.Errorf("got %q", got)
	}
	d.waitUntil("the warning", func() bool { return strings.Count(d.log.String(), "cannot read a log") == 1 })
	conf, err := os.ReadFile(d.dir + "/c.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(conf), "\n")
	d.writeFile("c.toml", rest)
	d.hup <- syscall.SIGHUP
	d.waitUntil("it is well", func() bool { _, body := d.getHTTP("/healthz"); return strings.Contains(body, `"status": "ok"`) })
	if code, body := d.getHTTP("/api/v1/clients?addr=192.0.2.7"); code != 404 || !strings.Contains(body, "[logs]") {
		t.Errorf("%d %s", code, body)
	}
}

// TestListSessions checks that "ehlogate list" tells what the logs say of the clients of an entry, and asks before it hides
// STARTTLS from one that delivered mail over TLS.
func TestListSessions(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := startDaemon(t, fmt.Sprintf("logs = { files = [%q], state = \"\" }\nedits = { journal = \"\" }\n%s", log, denyList), map[string]string{"deny.list": "# none\n"})
	d.waitUntil("the client is known", func() bool {
		for i, text := range []string{"connect from x.example.org[192.0.2.7]", "Anonymous TLS connection established from x.example.org[192.0.2.7]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
			"3C1D71000: client=x.example.org[192.0.2.7]", "disconnect from x.example.org[192.0.2.7] ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7",
			"connect from y.example.org[192.0.2.8]", "disconnect from y.example.org[192.0.2.8] ehlo=1 quit=1 commands=2"} {
			fmt.Fprintf(f, "2026-11-28T%02d:00:00+00:00 mx postfix/smtpd[2]: %s\n", i, text)
		}
		_, body := d.getHTTP("/api/v1/clients?network=192.0.2.7")
		return strings.Contains(body, `"encrypted_clients": 1`)
	})
	list := func(args ...string) (int, string) {
		var out, errs strings.Builder
		code := run(t.Context(), append([]string{"list", "-c", filepath.Join(d.dir, "c.toml")}, args...), &out, &errs)
		return code, out.String() + errs.String()
	}
	for _, entry := range []string{"192.0.2.7", "192.0.2.0/29"} {
		code, out := list("add", "deny", entry)
		for _, want := range []string{": offer -> suppress", "\n  logs: ", " since 20", "  careful: 1 client delivered mail, and TLS worked\n", "nothing was changed: to do it, give --yes"} {
			if code != exitWrong || !strings.Contains(out, want) {
				t.Errorf("add %s: code %d, no %q in\n%s", entry, code, want, out)
			}
		}
	}
	if code, out := list("add", "deny", "192.0.2.9"); code != 0 || !strings.Contains(out, "  logs: no session since 20") {
		t.Errorf("code %d, %s", code, out)
	}
	if code, out := list("add", "deny", "192.0.2.7", "--yes"); code != 0 || !strings.Contains(out, "wrote ") {
		t.Errorf("code %d, %s", code, out)
	}
	if code, out := list("rm", "deny", "192.0.2.7"); code != 0 || strings.Contains(out, "careful") { // an offer harms no client
		t.Errorf("code %d, %s", code, out)
	}
}
