package tlspolicy

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ehlogate/lists/dnsclient"
)

const (
	holdsLine = "warning: the guard holds: from now on STARTTLS is hidden by your own list files only, not by default, by DNS lists or by feeds; the reason is example.org: "
	endsLine  = ". To end this, end the promise, or take the domain out of [guard]"
	freeLine  = "info: the guard does not hold: no domain promises STARTTLS, and default, DNS lists and feeds may hide it"
	noneLine  = "info: STARTTLS is not promised for example.org: it promises STARTTLS neither by MTA-STS nor by DANE"
	testLine  = "warning: the MTA-STS policy of example.org is in testing: nothing is held back for it yet, and senders report each session without STARTTLS (RFC 8460); once it says enforce, STARTTLS is hidden by your own list files only"
)

// Everything that changes is one line; what goes on is one line a day.
func TestLog(t *testing.T) {
	w := newWorld(t)
	if got := w.logged(); got != nil {
		t.Errorf("New says %q", got)
	}
	record := "_mta-sts." + domainName + " TXT"
	sts := "its MTA-STS policy is to be enforced, and senders remember it until "
	unsure := "its MX host mail.example.org has TLSA records, and nobody can tell whether DNSSEC secures them: let a validating resolver on loopback be the only one asked"
	for _, s := range []struct {
		name  string
		after time.Duration
		do    func()
		want  []string
	}{
		{"fails from the beginning", 0, func() { w.dns.fail(record) }, []string{
			"warning: MTA-STS of example.org cannot be checked since 2026-12-01T00:00:00Z: a promise of STARTTLS is assumed until it can",
			holdsLine + "its MTA-STS could not be checked so far" + endsLine}},
		{"goes on", 23 * time.Hour, nil, nil},
		{"daily", time.Hour, nil, []string{"warning: MTA-STS of example.org cannot be checked since 2026-12-01T00:00:00Z: a promise of STARTTLS is assumed until it can"}},
		{"ends", time.Hour, func() { w.publish("", "") }, []string{
			"info: MTA-STS of example.org can be checked again: none", noneLine, freeLine}},
		{"nothing", time.Hour, nil, nil},
		{"fails again", 0, func() { w.dns.fail(record, mx) }, []string{
			"warning: MTA-STS of example.org cannot be checked since 2026-12-02T02:00:00Z: what was found before stays: none",
			"warning: DANE of example.org cannot be checked since 2026-12-02T02:00:00Z: what was found before stays: none"}},
		{"testing", 0, func() { w.publish("a", aPolicy("testing", day)); w.dns.set(mx) }, []string{
			"info: MTA-STS of example.org can be checked again: testing", "info: DANE of example.org can be checked again: none", testLine}},
		{"goes on", 22 * time.Hour, nil, nil},
		{"daily", 2 * time.Hour, nil, []string{testLine}},
		{"enforce", 0, func() { w.publish("b", enforce(2*day)) }, []string{
			"warning: STARTTLS is promised to everybody for example.org: " + sts + "2026-12-12T02:00:00Z",
			holdsLine + sts + "2026-12-12T02:00:00Z" + endsLine}},
		{"renewed", day, nil, nil},
		{"without a record", 0, func() { w.publish("", enforce(2*day)) }, []string{
			"warning: STARTTLS is promised to everybody for example.org: its MTA-STS record is gone, but the policy is still served and to be enforced, and senders that know it may renew it: take it out"}},
		{"testing, with the same id", 0, func() { w.publish("b", aPolicy("testing", day)) }, []string{
			"warning: STARTTLS is promised to everybody for example.org: its MTA-STS policy is no longer to be enforced, but has the same id, so that senders keep the one before until 2026-12-13T02:00:00Z: change the id"}},
		{"none, with a new id", 0, func() { w.publish("c", aPolicy("none", day)) }, []string{
			"warning: STARTTLS is promised to everybody for example.org: its MTA-STS policy is no longer to be enforced, but senders may keep the one before until 2026-12-13T02:00:00Z"}},
		{"gone", 0, func() { w.publish("", "") }, nil},
		{"secured as well", 0, func() {
			w.dns.set(mx, "10 mail.example.org.")
			w.dns.set(mailTLSA, tlsa)
			w.dns.secure(mailTLSA)
		}, []string{"warning: STARTTLS is promised to everybody for example.org: its MTA-STS policy is gone, but senders remember until 2026-12-13T02:00:00Z that it was to be enforced; its MX host mail.example.org has TLSA records"}},
		{"over, but secured", 9 * day, nil, []string{"warning: STARTTLS is promised to everybody for example.org: its MX host mail.example.org has TLSA records"}},
		{"insecure", 0, func() { w.dns.validating(); w.dns.change(mailTLSA, func(a *dnsclient.Answer) { a.Authentic = false }) }, []string{
			"warning: STARTTLS is promised to everybody for example.org: its MX host mail.example.org had TLSA records, and resolvers may remember that until 2026-12-20T02:00:00Z"}},
		{"over", 7 * day, nil, []string{noneLine, freeLine}},
		{"unsure", 0, func() { w.dns.set(root, "a.root-servers.net.") }, []string{
			"warning: for example.org a promise of STARTTLS is assumed: " + unsure, holdsLine + unsure + endsLine}},
		{"goes on", 3 * day, nil, nil},
	} {
		w.clock.add(s.after)
		if s.do != nil {
			s.do()
		}
		w.Check(t.Context())
		if got := w.logged(); !slices.Equal(got, s.want) {
			t.Errorf("%s:\n%q\nwant\n%q", s.name, got, s.want)
		}
	}
	w.cfg.Domains = nil
	w.start()
	if w.Check(t.Context()); w.logged() != nil {
		t.Error("something is logged without a domain")
	}
}

// A start says once where things stand, also if that is as it was.
func TestLogAtStart(t *testing.T) {
	w := newWorld(t)
	w.cfg.State = filepath.Join(t.TempDir(), "state.json")
	for _, s := range []struct{ policy, want string }{
		{aPolicy("none", day), freeLine},
		{enforce(day), holdsLine + "its MTA-STS policy is to be enforced, and senders remember it until 2026-12-09T00:00:00Z" + endsLine},
	} {
		w.publish("a", s.policy)
		w.start()
		w.domain()
		w.file.write(w.remember())
		w.start()
		w.logged()
		for _, want := range [][]string{{s.want}, nil} {
			w.Check(t.Context())
			if got := w.logged(); !slices.Equal(got, want) {
				t.Errorf("%q; want %q", got, want)
			}
		}
	}
}

func TestStateAsJSON(t *testing.T) {
	w := newWorld(t)
	w.publish("a", enforce(day))
	w.cfg.Domains = []string{domainName, "example.net"}
	w.dns.fail("example.net MX", "_mta-sts.example.net TXT")
	w.start()
	w.clock.now = base.In(time.FixedZone("", 3600)) // which is not shown
	w.Check(t.Context())
	got, err := json.MarshalIndent(w.Report(), "", " ")
	must(t, err)
	want := `{
 "active": true,
 "why": "example.org: its MTA-STS policy is to be enforced, and senders remember it until 2026-12-09T00:00:00Z (2 domains in all)",
 "domains": [
  {
   "name": "example.org",
   "commitment": "promised",
   "why": "its MTA-STS policy is to be enforced, and senders remember it until 2026-12-09T00:00:00Z",
   "mta_sts": {
    "state": "enforce",
    "id": "a",
    "until": "2026-12-09T00:00:00Z",
    "checked": "2026-12-01T00:00:00Z"
   },
   "dane": {
    "state": "none",
    "checked": "2026-12-01T00:00:00Z"
   },
   "checked": "2026-12-01T00:00:00Z"
  },
  {
   "name": "example.net",
   "commitment": "assumed",
   "why": "its MTA-STS could not be checked so far; its DANE could not be checked so far",
   "mta_sts": {
    "state": "unknown"
   },
   "dane": {
    "state": "unknown"
   },
   "checked": "2026-12-01T00:00:00Z",
   "error": "MTA-STS: _mta-sts.example.net TXT: servfail; DANE: example.net MX: servfail"
  }
 ]
}`
	if string(got) != want {
		t.Errorf("%s", got)
	}
}
