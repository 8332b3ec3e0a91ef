package fallback

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

// Rules 13 and 14: a report has what an operator needs to judge an entry, and what would help instead.
func TestReport(t *testing.T) {
	w := newWorld(t, both)
	w.learn(client, oldVersion)
	w.learn("198.51.100.1", noKeyShare, named("copier.example"))
	w.add("203.0.113.1", fails(oldVersion), named("fax.example"))
	w.add("203.0.113.1", succeeds("TLSv1"), named("fax.example"))
	w.add("203.0.113.2", fails(oldVersion), named(""))
	w.add("203.0.113.3", fails(noCipher), isScanner)
	connect(w.suppress, "198.51.100.1")
	r, err := w.Report(w.tx, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Entries) != 2 || r.Immune != 1 || r.LeftAlone != 1 || r.Cap != (CapReport{2, 200, 1, 20}) {
		t.Errorf("%+v", r)
	}
	e := r.Entries[0]
	if e.Client.String() != client || e.Action != "legacy" || e.Class != oldVersion || e.State != "live" || len(e.Evidence) != 3 ||
		e.Name != "mail.printer.example" || e.Until.Sub(e.Made) != 4*time.Hour || e.LastUntil.Sub(e.Made) != 30*day || e.Frees == "" {
		t.Errorf("%+v", e)
	}
	if p := e.Evidence[1]; p.Time.Sub(epoch) != 31*time.Minute || p.Class != oldVersion || p.Server != "postfix" || p.Service != "smtp" {
		t.Errorf("%+v", p)
	}
	if e := r.Entries[1]; e.Action != "suppress" || e.Sessions != 1 {
		t.Errorf("%+v", e)
	}
	if len(r.Candidates) != 1 || len(r.Candidates[0].Evidence) != 1 || len(r.Candidates[0].NotLearned) != 2 {
		t.Errorf("%+v", r.Candidates)
	}
	if len(r.Advice) != 2 || r.Advice[0].Clients != 2 || !strings.Contains(r.Advice[0].Text, "smtpd_tls_protocols = >=TLSv1") {
		t.Errorf("%+v", r.Advice)
	}
	text, err := json.Marshal(r)
	if err != nil || strings.Contains(string(text), "null") || strings.Contains(string(text), "0001-01-01") {
		t.Errorf("%s, %v", text, err)
	}
	w.wait(5 * time.Hour)
	if r, _ := w.Report(w.tx, w.now); r.Entries[0].State != "dormant" || !r.Entries[0].Until.IsZero() {
		t.Errorf("%+v", r.Entries[0])
	}
}

// Of many clients with evidence, a report has those with most of it.
func TestReportIsBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.BreakerClients, o.BreakerMinimum = 1e6, 1e6 })
	w.standing = StandingUnknown
	for i := range 3000 {
		w.add(addrAt(i).String(), fails(noCipher))
	}
	w.wait(31 * time.Minute)
	for i := range 50 {
		w.add(addrAt(i*60).String(), fails(noCipher))
	}
	r, err := w.Report(w.tx, w.now)
	if err != nil || len(r.Candidates) != maxCandidates || len(r.Candidates[49].Evidence) != 2 || r.Advice[0].Clients != 3000 {
		t.Errorf("%d candidates, %v, %+v", len(r.Candidates), err, r.Advice)
	}
}

// Asked about any address, the rules say what keeps it from having an entry.
func TestClientReport(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.Client(w.tx, w.now, netip.Addr{}); err == nil {
		t.Error("no error for no address")
	}
	w.add("203.0.113.1", succeeds("TLSv1.3"), named(""))
	for addr, words := range map[string]string{
		"10.0.0.1": "may be that of many clients", "203.0.113.1": "immune: it completed TLS",
		"203.0.113.2": "immune: a client of 203.0.113.0/24 completed TLS", "192.0.2.9": "0 of 3 failures in the same way that say that it is incapable of TLS, each 10m after the one before, over at least 1h within 24h", "192.0.2.10": "nothing says that it sends mail",
	} {
		if !w.refused(addr, words) {
			r, _ := w.Client(w.tx, w.now, netip.MustParseAddr(addr))
			t.Errorf("%s: %q, want %q", addr, r.NotLearned, words)
		}
	}
	r, _ := w.Client(w.tx, w.now, netip.MustParseAddr("203.0.113.1"))
	if r.ImmuneFor != 400*day {
		t.Errorf("immune for %v", r.ImmuneFor)
	}
	w.learn(client, noCipher)
	if r, _ = w.Client(w.tx, w.now, netip.MustParseAddr("::ffff:"+client)); r.Entry == nil || len(r.NotLearned) != 0 || r.Name != "mail.printer.example" {
		t.Errorf("%+v", r)
	}
}

// TLS-RPT: an entry that did harm ends, and its client is immune.
func TestWithdraw(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	w.events = nil
	if err := w.Withdraw(w.tx, w.now, netip.MustParseAddr("::ffff:"+client), "a TLS report names it"); err != nil {
		t.Fatal(err)
	}
	w.publish()
	if w.expect(w.suppress, client, false, "withdrawn"); len(w.events) != 1 || w.events[0].Kind != EventWithdrawn || !w.events[0].Warning {
		t.Errorf("%v", w.events)
	}
	w.wait(time.Hour)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, false, "immune")
}

// An event is one line.
func TestEventText(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	want := "fallback: learned 192.0.2.25 (mail.printer.example) until 2026-11-01T17:02:00Z: 3 sessions failed with no-shared-cipher"
	if got := fmt.Sprint(w.events[0]); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	w.add(client, fails("local-problem"), func(s *maillog.Session) { s.Addr = netip.Addr{} })
	if got := fmt.Sprint(w.events[len(w.events)-1]); !strings.Contains(got, "breaker-open until 2026-11-01T14:02:00Z: this server is at fault") {
		t.Errorf("got %s", got)
	}
}
