package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// learnedAlertsConfig has a fallback list with room for one client, which need not have a name.
const learnedAlertsConfig = `
guard = { off = true }
logs = { files = ["DIR/mail.log"], state = "" }
learn = { state = "DIR/learned.db", never = ["never.list"] }
fallback = { sessions = 2, spacing = "1s", span = "1s", max_entries = 1, observe_for = "1s", watch = ["DIR/main.cf"] }
[[list]]
name = "broken"
learn = "fallback"
action = "suppress"
mode = "enforce"
[[list]]
name = "partners"
action = "offer"
files = ["partners.list"]
`

// TestLearnedAlerts records a daemon with a list that learns, in each state that an operator should look at.
func TestLearnedAlerts(t *testing.T) {
	testenv.Needs(t, "promtool")
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	d := startJSONDaemon(t, strings.ReplaceAll(learnedAlertsConfig, "DIR", dir), map[string]string{"never.list": "# none\n", "partners.list": "192.0.2.0/24\n"})
	f := &logFeed{d: d, path: path, at: time.Now().Add(-4 * time.Hour)}
	f.write()
	is := func(metric, value string) func() bool { return func() bool { return d.scrape()[metric] == value } }
	d.waitUntil("the log is read", is(fmt.Sprintf("ehlogate_log_degraded{source=%q}", path), "0"))
	d.waitUntil("it takes effect", is(`ehlogate_learned_enforced{list="broken"}`, "1"))
	r := recording{interval: 240} // so that a phase has more than five hours
	r.add(d)

	const ticket = `severity="ticket"`
	failing := []string{"connect from PEER", "SSL_accept error from PEER: -1", "warning: TLS library problem: error:0A0000C1:SSL routines::no shared cipher:../ssl/x.c:1:",
		"lost connection after STARTTLS from PEER", "disconnect from PEER ehlo=1 starttls=0/1 commands=1/2"}
	for d.scrape()[`ehlogate_learned_events_total{kind="cap"}`] == "0" { // each round counts if a second passed since the last
		f.sessions(2, failing...)
		f.at = f.at.Add(2 * time.Minute)
		f.sessions(1, "connect from PEER", "disconnect from PEER quit=1 commands=1") // by which those before are over
	}
	if got := d.scrape()[`ehlogate_learned_clients{list="broken"}`]; got != "1" {
		t.Errorf("got %s clients, want 1", got)
	}
	r.add(d, "soon", `EhlogateLearningCapped severity="ticket",kind="cap"`)
	r.add(d) // nothing more happens

	d.writeFile("never.list", "a mistake\n")
	d.waitUntil("the edit is refused", is("ehlogate_learned_degraded", "1"))
	r.add(d, "EhlogateLearningFails "+ticket)
	d.writeFile("never.list", "# none\n")
	d.waitUntil("the edit is mended", is("ehlogate_learned_degraded", "0"))
	r.add(d)
	if err := os.WriteFile(filepath.Join(dir, "main.cf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.waitUntil("the breaker is open", is("ehlogate_learned_breaker_open", "1"))
	r.add(d, "EhlogateLearningStopped "+ticket)
	r.test(t)
}
