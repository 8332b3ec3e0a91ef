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
	activeEvent   = "activated: example.org: "
	inactiveEvent = "deactivated:"
	noneEvent     = "commitment changed: example.org none: neither MTA-STS nor DANE commits it to STARTTLS"
	testingEvent  = "policy testing: example.org"
)

// Each change is one event; what lasts is one event a day.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	if got := w.reported(); got != nil {
		t.Errorf("New reports %q", got)
	}
	record := "_mta-sts." + domainName + " TXT"
	const (
		confirmed     = "commitment changed: example.org confirmed: "
		assumed       = "commitment changed: example.org assumed: "
		enforced      = "its MTA-STS policy has mode enforce, and senders may have it in their caches until "
		indeterminate = "its MX host mail.example.org has TLSA records, and it is unknown whether DNSSEC secures them: name validating resolvers on loopback only"
	)
	for _, s := range []struct {
		name  string
		after time.Duration
		do    func()
		want  []string
	}{
		{"fails from the beginning", 0, func() { w.dns.failQueries(record) }, []string{
			"check failed: example.org MTA-STS unknown since 2026-12-01T00:00:00Z",
			activeEvent + "no check of MTA-STS has succeeded yet"}},
		{"goes on", 23 * time.Hour, nil, nil},
		{"daily", time.Hour, nil, []string{"check failed: example.org MTA-STS unknown since 2026-12-01T00:00:00Z"}},
		{"ends", time.Hour, func() { w.publish("", "") }, []string{
			"check succeeded: example.org MTA-STS none", noneEvent, inactiveEvent}},
		{"nothing", time.Hour, nil, nil},
		{"fails again", 0, func() { w.dns.failQueries(record, mx) }, []string{
			"check failed: example.org MTA-STS none since 2026-12-02T02:00:00Z",
			"check failed: example.org DANE none since 2026-12-02T02:00:00Z"}},
		{"testing", 0, func() { w.publish("a", policyText("testing", day)); w.dns.setAnswer(mx) }, []string{
			"check succeeded: example.org MTA-STS testing", "check succeeded: example.org DANE none", testingEvent}},
		{"goes on", 22 * time.Hour, nil, nil},
		{"daily", 2 * time.Hour, nil, []string{testingEvent}},
		{"enforce", 0, func() { w.publish("b", enforce(2*day)) }, []string{
			confirmed + enforced + "2026-12-12T02:00:00Z",
			activeEvent + enforced + "2026-12-12T02:00:00Z"}},
		{"renewed", day, nil, nil},
		{"without a record", 0, func() { w.publish("", enforce(2*day)) }, []string{
			confirmed + "its MTA-STS record is gone, but the policy is still served with mode enforce, and senders that have it in their caches may renew it: stop serving it"}},
		{"testing, with the same id", 0, func() { w.publish("b", policyText("testing", day)) }, []string{
			confirmed + "its MTA-STS policy no longer has mode enforce, but has the same id, so that senders keep the previous one until 2026-12-13T02:00:00Z: change the id"}},
		{"none, with a new id", 0, func() { w.publish("c", policyText("none", day)) }, []string{
			confirmed + "its MTA-STS policy no longer has mode enforce, but senders may have the previous one in their caches until 2026-12-13T02:00:00Z"}},
		{"gone", 0, func() { w.publish("", "") }, nil},
		{"secured as well", 0, func() {
			w.dns.setAnswer(mx, "10 mail.example.org.")
			w.dns.setAnswer(mailTLSA, tlsa)
			w.dns.secure(mailTLSA)
		}, []string{confirmed + "its MTA-STS policy is gone, but senders may have it in their caches until 2026-12-13T02:00:00Z, with mode enforce; its MX host mail.example.org has TLSA records"}},
		{"over, but secured", 9 * day, nil, []string{confirmed + "its MX host mail.example.org has TLSA records"}},
		{"insecure", 0, func() {
			w.dns.validating()
			w.dns.changeAnswer(mailTLSA, func(a *dnsclient.Answer) { a.Authentic = false })
		}, []string{
			confirmed + "its MX host mail.example.org had TLSA records, which resolvers may have in their caches until 2026-12-20T02:00:00Z"}},
		{"over", 7 * day, nil, []string{noneEvent, inactiveEvent}},
		{"indeterminate", 0, func() { w.dns.setAnswer(root, "a.root-servers.net.") }, []string{
			assumed + indeterminate, activeEvent + indeterminate}},
		{"goes on", 3 * day, nil, nil},
	} {
		w.clock.advance(s.after)
		if s.do != nil {
			s.do()
		}
		w.Check(t.Context())
		if got := w.reported(); !slices.Equal(got, s.want) {
			t.Errorf("%s: got\n%q\nwant\n%q", s.name, got, s.want)
		}
	}
	w.cfg.Domains = nil
	w.start()
	if w.Check(t.Context()); w.reported() != nil {
		t.Error("an event without a domain")
	}
}

// After a start it is reported once whether the guard is active, even if that has not changed.
func TestEventAtStart(t *testing.T) {
	w := newWorld(t)
	w.cfg.State = filepath.Join(t.TempDir(), "state.json")
	for _, s := range []struct{ policy, want string }{
		{policyText("none", day), inactiveEvent},
		{enforce(day), activeEvent + "its MTA-STS policy has mode enforce, and senders may have it in their caches until 2026-12-09T00:00:00Z"},
	} {
		w.publish("a", s.policy)
		w.start()
		w.domain()
		w.file.writeState(w.saved())
		w.start()
		w.reported()
		for _, want := range [][]string{{s.want}, nil} {
			w.Check(t.Context())
			if got := w.reported(); !slices.Equal(got, want) {
				t.Errorf("%q; want %q", got, want)
			}
		}
	}
}

func TestStateAsJSON(t *testing.T) {
	w := newWorld(t)
	w.publish("a", enforce(day))
	w.cfg.Domains = []string{domainName, "example.net"}
	w.dns.failQueries("example.net MX", "_mta-sts.example.net TXT")
	w.start()
	w.clock.now = base.In(time.FixedZone("", 3600)) // which is not shown
	w.Check(t.Context())
	got, err := json.MarshalIndent(w.Report(), "", " ")
	mustSucceed(t, err)
	want := `{
 "active": true,
 "why": "example.org: its MTA-STS policy has mode enforce, and senders may have it in their caches until 2026-12-09T00:00:00Z (2 domains in all)",
 "domains": [
  {
   "name": "example.org",
   "commitment": "confirmed",
   "why": "its MTA-STS policy has mode enforce, and senders may have it in their caches until 2026-12-09T00:00:00Z",
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
   "why": "no check of MTA-STS has succeeded yet; no check of DANE has succeeded yet",
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
