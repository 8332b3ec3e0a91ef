package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/tlsrpt"
)

// keptFinding is what a report tells of a client on the list deny.
var keptFinding = tlsrpt.Finding{Address: netip.MustParseAddr("192.0.2.1"), Reason: "listed", List: "deny", Entry: "192.0.2.1", File: "/etc/deny.list", Line: 14, Sessions: 200,
	Organization: "sender.example", Domain: "example.org", ReportID: "r-1", Start: time.Now().AddDate(0, 0, -1), End: time.Now()}

// TestDaemonReports: what a report tells is in the log, in /healthz and in a metric, also after a restart, and a file that cannot
// be read is reported and changes no answer.
func TestDaemonReports(t *testing.T) {
	state := filepath.Join(t.TempDir(), "tlsrpt.json")
	d := startDaemon(t, fmt.Sprintf("tlsrpt = { state = %q }\n%s", state, denyList), map[string]string{"deny.list": "192.0.2.1\n"})
	const metric = `ehlogate_tlsrpt_sessions{list="deny"}`
	if code, body := d.getHTTP("/healthz"); code != 200 || !strings.Contains(body, `"status": "ok"`) || d.scrape()[metric] != "0" {
		t.Errorf("at the start: %d %s", code, body)
	}
	unlisted := keptFinding
	unlisted.Address, unlisted.Reason, unlisted.List = netip.MustParseAddr("192.0.2.2"), "", "" // for a learned list
	if err := tlsrpt.Record(state, time.Now(), []tlsrpt.Finding{unlisted, keptFinding}); err != nil {
		t.Fatal(err)
	}
	d.waitUntil("the report counts", func() bool { return d.scrape()[metric] == "200" })
	code, body := d.getHTTP("/healthz")
	for _, want := range []string{`"status": "degraded"`, `"address": "192.0.2.1"`, `"line": 14`, `"organization": "sender.example"`} {
		if code != 200 || !strings.Contains(body, want) || strings.Contains(body, "192.0.2.2") {
			t.Errorf("/healthz: %d, no %s in %s", code, want, body)
		}
	}
	d.waitUntil("the warning", func() bool { return strings.Contains(d.log.String(), "mail was not sent") })
	for _, want := range []string{`level=warning msg="mail was not sent`, `at="/etc/deny.list:14" client=192.0.2.1 domain=example.org entry=192.0.2.1 list=deny`, "sender=sender.example sessions=200"} {
		if log := d.log.String(); strings.Count(log, "mail was not sent") != 1 || !strings.Contains(log, want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
	if err := os.WriteFile(state, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.waitUntil("the fault", func() bool { return strings.Contains(d.log.String(), "cannot read the file of [tlsrpt]") })
	if code, body := d.getHTTP("/healthz"); code != 200 || !strings.Contains(body, state) || d.scrape()[metric] != "200" || !d.suppressed("192.0.2.1") || d.suppressed("192.0.2.2") {
		t.Errorf("damaged file: %d %s", code, body)
	}
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	d.waitUntil("all is well", func() bool { _, body := d.getHTTP("/healthz"); return strings.Contains(body, `"status": "ok"`) })
	if got := d.scrape()[metric]; got != "0" {
		t.Errorf("without a file: %s", got)
	}
}
