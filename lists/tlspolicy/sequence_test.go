package tlspolicy

import (
	"path/filepath"
	"testing"
	"time"
)

const day = 24 * time.Hour

// A step is what is published, some time after the step before, and what
// follows from it.
type step struct {
	name    string
	after   time.Duration
	publish func(*world)
	restart bool // the process starts again
	idle    bool // nothing is checked
	holds   bool
	state   State
	until   time.Duration // since the beginning, with a week for resolvers; 0: no cache has a policy in mode enforce
}

func TestMTASTSSequences(t *testing.T) {
	serves := func(id, policy string) func(*world) { return func(w *world) { w.publish(id, policy) } }
	record := "_mta-sts." + domainName + " TXT"
	down := func(w *world) { w.dns.failQueries(record) }
	week := enforce(7 * day)
	for name, steps := range map[string][]step{
		"never any": {
			{name: "before the first check", idle: true, holds: true, state: Unknown},
			{name: "checked", publish: serves("", ""), state: None},
			{name: "DNS fails", after: day / 2, publish: down, state: None},
			{name: "restart", after: day / 2, restart: true, idle: true, state: None},
			{name: "restart long after", after: 3 * day, restart: true, idle: true, holds: true, state: Unknown},
			{name: "checked again", publish: serves("", ""), state: None},
		},
		"a served policy without a record": {
			{name: "no sender looks for it", publish: serves("", week), state: None},
		},
		"DNS fails from the beginning": {
			{name: "assumed", publish: down, holds: true, state: Unknown},
			{name: "still", after: 30 * day, holds: true, state: Unknown},
			{name: "back", publish: serves("", ""), state: None},
		},
		"a record and no policy": {
			{name: "assumed", publish: serves("a", ""), holds: true, state: Unknown},
			{name: "served", publish: serves("a", policyText("none", day)), state: None},
			{name: "gone: the last state is kept", after: 3 * day, publish: serves("a", ""), state: None},
		},
		"enforce, and the record goes": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "renewed", after: day, holds: true, state: Enforce, until: 15 * day},
			{name: "gone, perhaps just now", after: day, publish: serves("", ""), holds: true, state: None, until: 16 * day},
			{name: "restart", after: day, restart: true, idle: true, holds: true, state: None, until: 16 * day},
			{name: "nearly over", after: 13*day - time.Second, holds: true, state: None, until: 16 * day},
			{name: "over", after: time.Second, state: None},
		},
		"enforce, and only the record goes": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "senders renew without it", after: day, publish: serves("", week), holds: true, state: None, until: 15 * day},
			{name: "they get none now, if they look", after: day, publish: serves("", policyText("none", day)), holds: true, state: None, until: 16 * day},
			{name: "over", after: 14 * day, publish: serves("", week), state: None},
		},
		"only the record goes, and then everything fails": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "senders renew without it", publish: serves("", week), holds: true, state: None, until: 14 * day},
			{name: "over, but senders may still renew", after: 30 * day, publish: down, holds: true, state: None},
			{name: "they do", publish: serves("", week), holds: true, state: None, until: 44 * day},
			{name: "they did until now", after: day, publish: serves("", ""), holds: true, state: None, until: 45 * day},
			{name: "over", after: 14 * day, state: None},
		},
		"enforce, and everything fails": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "no policy", after: day, publish: serves("a", ""), holds: true, state: Enforce, until: 14 * day},
			{name: "no DNS", after: day, publish: down, holds: true, state: Enforce, until: 14 * day},
			{name: "over, but what is served is not known", after: 30 * day, holds: true, state: Enforce},
			{name: "restart", restart: true, idle: true, holds: true, state: Enforce},
			{name: "back, and gone, perhaps just now", publish: serves("", ""), holds: true, state: None, until: 46 * day},
			{name: "over", after: 14 * day, state: None},
		},
		"enforce, then testing": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "the id is the same", after: day, publish: serves("a", policyText("testing", day)), holds: true, state: Testing, until: 15 * day},
			{name: "a new id, for which no sender needs to look yet", publish: serves("b", policyText("testing", day)), holds: true, state: Testing, until: 15 * day},
			{name: "restart", restart: true, idle: true, holds: true, state: Testing, until: 15 * day},
			{name: "DNS fails", publish: down, holds: true, state: Testing, until: 15 * day},
			{name: "over", after: 14 * day, publish: serves("b", policyText("testing", day)), state: Testing},
		},
		"enforce, then none": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "a new id, but no policy yet", publish: serves("b", ""), holds: true, state: Enforce, until: 14 * day},
			{name: "none", publish: serves("b", policyText("none", day)), holds: true, state: None, until: 14 * day},
			{name: "enforce again", after: day, publish: serves("c", week), holds: true, state: Enforce, until: 15 * day},
			{name: "the first id again", publish: serves("b", policyText("none", day)), holds: true, state: None, until: 15 * day},
			{name: "over", after: 14 * day, state: None},
		},
		"a shorter max_age": {
			{name: "long", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "short; some got the long one until now", after: day, publish: serves("b", enforce(day)), holds: true, state: Enforce, until: 15 * day},
			{name: "none", after: day, publish: serves("b", policyText("none", day)), holds: true, state: None, until: 15 * day},
			{name: "later than both", after: 13 * day, publish: serves("", ""), state: None},
		},
		"a shorter max_age, for long": {
			{name: "long", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "short", publish: serves("b", enforce(day)), holds: true, state: Enforce, until: 14 * day},
			{name: "no cache has the long one", after: 14 * day, holds: true, state: Enforce, until: 22 * day},
			{name: "gone", after: day, publish: serves("", ""), holds: true, state: None, until: 23 * day},
			{name: "over", after: 8 * day, state: None},
		},
		"max_age 0": {
			{name: "senders that come now must encrypt", publish: serves("a", enforce(0)), holds: true, state: Enforce, until: 7 * day},
			{name: "as long as it is served", after: 8 * day, idle: true, holds: true, state: Enforce},
			{name: "gone, but DNS leads to where it was", publish: serves("", ""), holds: true, state: None, until: 15 * day},
			{name: "over", after: 7 * day, state: None},
		},
		"testing": {
			{name: "testing", publish: serves("a", policyText("testing", 7*day)), state: Testing},
			{name: "enforce", publish: serves("b", week), holds: true, state: Enforce, until: 14 * day},
		},
		"a broken record": {
			{name: "is none", publish: serves("not-an-id", ""), state: None},
			{name: "with testing, too", publish: serves("not-an-id", policyText("testing", day)), state: None},
			{name: "with enforce some senders take it", publish: serves("not-an-id", week), holds: true, state: Enforce, until: 14 * day},
			{name: "none", after: day, publish: serves("not-an-id", policyText("none", day)), holds: true, state: None, until: 15 * day},
			{name: "over", after: 14 * day, state: None},
		},
		"two records": {
			{name: "are none", publish: func(w *world) {
				w.publish("a", week)
				w.dns.setAnswer(record, `"v=STSv1; id=a;"`, `"v=STSv1; id=b;"`)
			}, state: None},
			{name: "but others do not matter", publish: func(w *world) {
				w.dns.setAnswer(record, `"v=spf1 -all"`, `"v=STS" "v1; " "id=a;"`, `"V=STSv1; id=b"`, `"v=STSv1"`)
			}, holds: true, state: Enforce, until: 14 * day},
		},
		"the clock is set back": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "by a year", after: -365 * day, restart: true, idle: true, holds: true, state: Enforce, until: -351 * day},
			{name: "checked", holds: true, state: Enforce, until: -351 * day},
			{name: "gone", after: day, publish: serves("", ""), holds: true, state: None, until: -350 * day},
			{name: "over", after: 14 * day, state: None},
		},
		"the clock is set back, and everything fails": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "by a year", after: -365 * day, publish: down, holds: true, state: Enforce, until: -351 * day},
			{name: "over, but what is served is not known", after: 14 * day, holds: true, state: Enforce},
			{name: "back, and gone, perhaps just now", publish: serves("", ""), holds: true, state: None, until: -337 * day},
			{name: "over", after: 14 * day, state: None},
		},
		"the clock is set back while it runs": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "gone", after: -day, publish: serves("", ""), holds: true, state: None, until: 13 * day},
			{name: "the clock is past that time again", after: 6 * day, holds: true, state: None, until: 14 * day},
			{name: "over", after: 9 * day, state: None},
		},
		"the clock is set back, and there was none": {
			{name: "none", publish: serves("", ""), state: None},
			{name: "by two days", after: -2 * day, restart: true, idle: true, holds: true, state: Unknown},
		},
		"the clock is set forward": {
			{name: "enforce", publish: serves("a", week), holds: true, state: Enforce, until: 14 * day},
			{name: "by a year: served now", after: 365 * day, restart: true, idle: true, holds: true, state: Enforce},
			{name: "gone, perhaps just now", publish: serves("", ""), holds: true, state: None, until: 379 * day},
			{name: "over", after: 14 * day, state: None},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.State = filepath.Join(t.TempDir(), "state.json")
			w.start()
			for _, s := range steps {
				w.clock.advance(s.after)
				if s.publish != nil {
					s.publish(w)
				}
				if s.restart {
					w.file.writeState(w.saved())
					w.start()
				}
				if !s.idle {
					w.Check(t.Context())
				}
				got := w.Report()
				until := time.Time{}
				if s.until != 0 {
					until = base.Add(s.until)
				}
				d := got.Domains[0]
				if w.Active() != s.holds || got.Active != s.holds || d.MTASTS.State != s.state || !d.MTASTS.Until.Equal(until) {
					t.Fatalf("%s: holds %v, %s until %v; want %v, %s until %v\n%s\n%s", s.name,
						got.Active, d.MTASTS.State, d.MTASTS.Until, s.holds, s.state, until, got.Why, d.Error)
				}
			}
		})
	}
}

// The end of a commitment needs no check.
func TestEndWithoutCheck(t *testing.T) {
	w := newWorld(t)
	w.publish("a", enforce(day))
	w.domain()
	w.publish("", "")
	w.domain()
	w.clock.advance(8 * day)
	if d := w.Report().Domains[0]; d.Commitment != NoCommitment {
		t.Errorf("%+v", d)
	}
}

// One committed domain is enough.
func TestManyDomains(t *testing.T) {
	w := newWorld(t)
	w.cfg.Domains = []string{"a.example", "Example.ORG.", "b.example", "example.org"}
	w.publish("a", enforce(day))
	w.start()
	w.dns.failQueries("b.example MX")
	w.Check(t.Context())
	s := w.Report()
	if len(s.Domains) != 3 || !s.Active {
		t.Fatalf("%+v", s)
	}
	for i, want := range []Commitment{NoCommitment, Confirmed, Assumed} {
		if s.Domains[i].Commitment != want {
			t.Errorf("%+v", s.Domains[i])
		}
	}
	if want := `example.org: its MTA-STS policy has mode enforce, and senders may have it in their caches until 2026-12-09T00:00:00Z (2 domains in all)`; s.Why != want {
		t.Errorf("%q", s.Why)
	}
	w.cfg.Domains = nil
	w.start()
	if w.Check(t.Context()); w.Active() {
		t.Error("active without a domain")
	}
}
