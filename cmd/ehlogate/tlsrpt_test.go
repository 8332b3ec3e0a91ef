package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/tlsreport"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/reporttest"
	"ehlogate/lists/tlsrpt"
)

// reports is a directory with a config, and a sender of reports.
type reports struct {
	t      *testing.T
	dir    string
	sender *reporttest.Sender
	server *dnstest.Server
}

func newReports(t *testing.T, lists string) *reports {
	r := &reports{t: t, dir: t.TempDir(), sender: reporttest.NewSender(t, "sender.example")}
	r.server = dnstest.StartServer(t, dnstest.NewZone(t, "sender.example", r.sender.Zone()))
	r.write("c.toml", fmt.Sprintf("[dns]\nresolvers = [%q]\ntimeout = \"300ms\"\n[tlsrpt]\nstate = %q\n%s", r.server.Addr, r.path("tlsrpt.json"), lists))
	return r
}

func (r *reports) path(name string) string { return filepath.Join(r.dir, name) }

func (r *reports) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// yesterday is the report of a client for the day before.
func yesterday(client string) reporttest.Report {
	end := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Second)
	return reporttest.Report{To: "tlsrpt@example.org", Domain: "example.org", ID: "r-1", Client: client, Sessions: 200, Start: end.Add(time.Second).AddDate(0, 0, -1), End: end}
}

// run runs the command with stdin, and returns what it prints and its exit code.
func (r *reports) run(stdin string, args ...string) (stdout, stderr string, code int) {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	dir := r.t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "ehlogate")); err != nil { // TestMain goes by the name
		r.t.Fatal(err)
	}
	cmd := exec.CommandContext(r.t.Context(), filepath.Join(dir, "ehlogate"), append([]string{"tlsrpt", "-c", r.path("c.toml")}, args...)...)
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	_ = cmd.Run() // the exit code tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (r *reports) recorded() []tlsrpt.Finding {
	r.t.Helper()
	all, err := tlsrpt.Recorded(r.path("tlsrpt.json"), time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// TestReportOfOtherDomain: with [guard] domains, a report about the mail of another domain frees no client.
func TestReportOfOtherDomain(t *testing.T) {
	r := newReports(t, denyList)
	r.write("deny.list", "192.0.2.7\n")
	for domain, believed := range map[string]bool{"example.org": true, "EXAMPLE.org": true, "other.example": false} {
		r.write("c.toml", fmt.Sprintf("guard = { domains = [%q], state = \"\" }\ndns.resolvers = [%q]\n%s", domain, r.server.Addr, denyList))
		out, errs, code := r.run(r.sender.Signed(t, yesterday("192.0.2.7")))
		if (code == exitWrong) != believed || strings.Contains(out, "is not one of [guard] domains") == believed || strings.Contains(out, "if the report is true") == believed {
			t.Errorf("%s: exit code %d, %s%s", domain, code, out, errs)
		}
	}
}

// TestReportBelieved joins a report with the list that suppresses its client.
func TestReportBelieved(t *testing.T) {
	r := newReports(t, denyList)
	r.write("deny.list", "# a comment\n192.0.2.0/28 # old printers\n198.51.100.0/24\n")
	r.write("report.eml", r.sender.Signed(t, yesterday("192.0.2.7")))
	out, errs, code := r.run("", "--record", r.path("report.eml"))
	for _, want := range []string{"sender  sender.example signed it\n", "12 sessions with TLS, 200 failed", "200  starttls-not-supported, from 192.0.2.7 to mx.example.org",
		"192.0.2.7: your line " + r.path("deny.list") + ":2 (192.0.2.0/28 # old printers) of the list \"deny\" kept 200 sessions of sender.example's mail to example.org\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != exitWrong || errs != "" {
		t.Errorf("exit code %d, %s", code, errs)
	}
	found := r.recorded()
	if len(found) != 1 || found[0].List != "deny" || found[0].Reason != "listed" || found[0].Line != 2 || found[0].Sessions != 200 || found[0].Organization != "sender.example" ||
		found[0].ReportID != "r-1" || found[0].Address.String() != "192.0.2.7" {
		t.Errorf("recorded %+v", found)
	}
	var doc tlsreport.Report
	out, _, code = r.run(r.sender.Signed(t, yesterday("192.0.2.7")), "--json")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || code != exitWrong || len(doc.Clients) != 1 || !doc.Clients[0].Believed || doc.Clients[0].Note != "old printers" || doc.Clients[0].Log != nil {
		t.Errorf("%d, %v, %s", code, err, out)
	}
}

// TestReportNotBelieved: an unsigned or wrongly signed report is shown, and changes neither exit code nor record.
func TestReportNotBelieved(t *testing.T) {
	r := newReports(t, denyList)
	r.write("deny.list", "192.0.2.7\n")
	signed, stranger := r.sender.Signed(t, yesterday("192.0.2.7")), reporttest.NewSender(t, "sender.example")
	future := yesterday("192.0.2.7")
	future.Start, future.End = future.Start.AddDate(0, 0, 3), future.End.AddDate(0, 0, 3)
	for name, tc := range map[string]struct{ message, want string }{
		"unsigned":     {r.sender.Message(t, yesterday("192.0.2.7")), "NOT SIGNED"},
		"another key":  {stranger.Signed(t, yesterday("192.0.2.7")), "WRONG SIGNATURE"},
		"another body": {strings.Replace(signed, "an aggregate", "no aggregate", 1), "WRONG SIGNATURE"},
		"another From": {strings.Replace(signed, "noreply-tls-reports@sender", "noreply-tls-reports@other", 1), "WRONG SIGNATURE"},
		"no DNS":       {reporttest.NewSender(t, "unserved.example").Signed(t, yesterday("192.0.2.7")), "SIGNATURE NOT CHECKED"},
		"the future":   {r.sender.Signed(t, future), "NOT BELIEVED"},
	} {
		out, errs, code := r.run(tc.message, "--record", "-")
		if code != 0 || errs != "" || !strings.Contains(out, tc.want) || !strings.Contains(out, "deny.list:1 (192.0.2.7) of the list \"deny\" kept 200 sessions") || !strings.Contains(out, ", if the report is true\n") {
			t.Errorf("%s: exit code %d, %s%s", name, code, errs, out)
		}
		if found := r.recorded(); found != nil {
			t.Errorf("%s: recorded %+v", name, found)
		}
	}
}

// TestReportDecisions: the client is decided by the policy at the time of the report.
func TestReportDecisions(t *testing.T) {
	r := newReports(t, denyList)
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	r.write("deny.list", fmt.Sprintf("192.0.2.1 until=%s\n192.0.2.2 until=%s\n192.0.2.3\n!192.0.2.3\n192.0.2.4 until=%sT12:00:00Z\n", day(-3), day(-1), day(-1)))
	for client, want := range map[string]struct {
		text   string
		code   int
		reason string
	}{
		"192.0.2.1":   {"no list on disk hides it", 0, ""}, // it had ended before
		"192.0.2.2":   {"deny.list:2", 1, "listed"},        // it has ended since
		"192.0.2.4":   {"deny.list:5", 1, "listed"},        // it ended meanwhile
		"192.0.2.3":   {"no list on disk hides it", 0, ""},
		"2001:db8::1": {"no list on disk hides it", 0, ""},
	} {
		report := yesterday(client)
		report.ID = client
		out, errs, code := r.run(r.sender.Signed(t, report), "--record")
		if code != want.code || errs != "" || !strings.Contains(out, want.text) {
			t.Errorf("%s: exit code %d, %s%s", client, code, errs, out)
		}
		found := r.recorded()
		if last := found[len(found)-1]; last.Address.String() != client || last.Reason != want.reason {
			t.Errorf("%s: recorded %+v", client, last)
		}
	}
	old := yesterday("192.0.2.2")
	old.Start, old.End, old.ID = old.Start.AddDate(0, 0, -8), old.End.AddDate(0, 0, -8), "old"
	before := len(r.recorded())
	if out, errs, code := r.run(r.sender.Signed(t, old), "--record"); code != exitWrong || len(r.recorded()) != before {
		t.Errorf("an old report: exit code %d, %s%s", code, errs, out)
	}
	r.write("c.toml", fmt.Sprintf("guard = { domains = [\"example.org\"], state = \"\" }\ndns.resolvers = [%q]\n%sformat = \"addresses\"\n", r.server.Addr, denyList))
	r.write("deny.list", "192.0.2.9\n")
	if out, errs, code := r.run(r.sender.Signed(t, yesterday("192.0.2.9"))); code != 0 || !strings.Contains(out, "192.0.2.9: the line "+r.path("deny.list")+":1 (192.0.2.9) of the list \"deny\" would keep 200") || !strings.Contains(out, "[guard] overrides it now") {
		t.Errorf("guard: exit code %d, %s%s", code, errs, out)
	}
	r.write("c.toml", fmt.Sprintf("default = \"suppress\"\nguard.off = true\ndns.resolvers = [%q]\n", r.server.Addr))
	if out, errs, code := r.run(r.sender.Signed(t, yesterday("192.0.2.9"))); code != exitWrong || !strings.Contains(out, `your default = "suppress" kept 200`) {
		t.Errorf("default: exit code %d, %s%s", code, errs, out)
	}
}

// TestReportLog shows what the mail log has of the client, and decides with the name that it has.
func TestReportLog(t *testing.T) {
	r := newReports(t, denyList)
	r.write("deny.list", ".sender.example\n")
	report := yesterday("192.0.2.7")
	var log strings.Builder
	for i, at := range []time.Time{report.Start.Add(-time.Hour), report.Start.Add(time.Hour), report.Start.Add(2 * time.Hour), report.End.Add(time.Hour)} {
		for _, client := range []string{"out.sender.example[192.0.2.7]", "other.example.net[192.0.2.8]"} {
			for _, text := range []string{"connect from " + client, "discarding EHLO keywords: STARTTLS", "disconnect from " + client + " ehlo=1 quit=1 commands=2"} {
				fmt.Fprintf(&log, "%s mx postfix/smtpd[%d]: %s\n", at.Format(time.RFC3339), i+10, text)
			}
		}
	}
	r.write("mail.log", log.String())
	out, errs, code := r.run(r.sender.Signed(t, report), "--log", r.path("mail.lo*"))
	for _, want := range []string{"deny.list:1 (.sender.example) of the list \"deny\" kept 200", "in the log at that time: 2 sessions, 2 without an offer of STARTTLS\n"} {
		if code != exitWrong || errs != "" || !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in %s%s", code, want, errs, out)
		}
	}
	if _, errs, code = r.run(r.sender.Signed(t, report), "--log", r.path("missing")); code != exitWrong || !strings.Contains(errs, "missing") {
		t.Errorf("no log: exit code %d, %s", code, errs)
	}
}

// TestReportSources reads a Maildir with other mail, and names what cannot be read.
func TestReportSources(t *testing.T) {
	r := newReports(t, denyList)
	r.write("deny.list", "# none\n")
	for _, dir := range []string{"Maildir", "Maildir/new", "Maildir/cur"} {
		if err := os.Mkdir(r.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.write("Maildir/new/1", r.sender.Signed(t, yesterday("192.0.2.7")))
	r.write("Maildir/cur/2:2,S", "From: a@example.org\nSubject: x\n\nhello\n")
	out, errs, code := r.run("", r.path("Maildir"))
	if code != 0 || errs != "" || !strings.Contains(out, "note: 1 message has no TLS report\n") {
		t.Errorf("exit code %d, %s%s", code, errs, out)
	}
	r.write("bad.json", "{\n  \"policies\": [}\n")
	if out, errs, code = r.run("", r.path("Maildir"), r.path("bad.json")); code != exitWrong || !strings.Contains(errs, "bad.json:2:16: invalid JSON") || !strings.Contains(out, "sender.example signed it") {
		t.Errorf("exit code %d, %s%s", code, errs, out)
	}
	r.write("deny.list", "192.0.2.7/33\n")
	if _, errs, code = r.run("", r.path("Maildir")); code != exitWrong || !strings.Contains(errs, "deny.list:1:1: ") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	r.write("deny.list", "# none\n")
	for _, tc := range []struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"", nil, exitWrong, "standard input: empty: no report"},
		{"From: a@example.org\n\nhello\n", nil, exitWrong, "standard input: no TLS report in this message"},
		{"", []string{r.path("gone")}, exitWrong, "gone: no such file or directory"},
		{"", []string{"--mail", "x.eml"}, exitUsage, "--mail reads one message"},
		{"", []string{"--mail", "--json"}, exitUsage, "cannot go together"},
		{"", []string{"--nonsense"}, exitUsage, "unknown flag"},
	} {
		if _, errs, code := r.run(tc.stdin, tc.args...); code != tc.code || !strings.Contains(errs, tc.want) {
			t.Errorf("%v: exit code %d, want %d; %q, want %q", tc.args, code, tc.code, errs, tc.want)
		}
	}
}
