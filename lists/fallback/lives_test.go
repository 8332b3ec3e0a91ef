package fallback

import (
	"testing"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

const day = 24 * time.Hour

// manySessions keeps the cap of sessions out of the way.
func manySessions(o *Options) { o.MinSessions = 1 << 30 }

// Rule 8: the first life is four hours; each confirmation doubles it, to a week; after 30 days it is over for good.
func TestLives(t *testing.T) {
	w := newWorld(t, manySessions)
	w.learn(client, noCipher)
	made := w.now.Wall
	for _, life := range []time.Duration{4, 8, 16, 32, 64, 128, 168, 168} {
		life *= time.Hour
		w.wait(life - time.Second)
		w.expect(w.suppress, client, true, life.String())
		w.wait(time.Second)
		w.expect(w.suppress, client, false, life.String()+" are over")
		w.wait(time.Hour)
		w.expect(w.suppress, client, false, "dormant")
		if life == 8*time.Hour {
			w.add(client, fails("lost-connection")) // which confirms nothing
			w.expect(w.suppress, client, false, "dormant after another failure")
			w.wait(time.Hour)
		}
		if w.entryOf(client) == nil {
			t.Fatal("the entry is gone")
		}
		w.add(client, fails(noCipher))
		w.expect(w.suppress, client, true, "confirmed")
	}
	rest := made.Add(30 * day).Sub(w.now.Wall)
	for _, end := range []learnstore.Moment{{Wall: w.now.Wall.Add(rest), Followed: w.now.Followed}, {Wall: w.now.Wall, Followed: w.now.Followed + rest}} {
		if w.Table().AsOf(end).Len() != 0 {
			t.Error("a table that is published lives on after 30 days")
		}
	}
	w.wait(rest - time.Second)
	w.expect(w.suppress, client, true, "before the end")
	w.wait(time.Second)
	w.expect(w.suppress, client, false, "30 days")
	w.wait(300 * day)
	w.learn(client, noCipher)
	if w.expect(w.suppress, client, false, "a year later"); !w.refused(client, "promote it, or forget it") {
		t.Error("it is not said what the operator can do")
	}
	if err := w.Forget(w.tx, w.now, w.lookup(client)); err != nil {
		t.Fatal(err)
	}
	w.learn(client, noCipher)
	w.expect(w.suppress, client, true, "forgotten")
}

// The life of an entry ends by the clock, and by the time for which logs were followed, whichever ends it first.
func TestLifeEndsByBothClocks(t *testing.T) {
	for name, set := range map[string]func(w *world){
		"clock set back": func(w *world) { w.now.Wall = w.now.Wall.Add(-1000 * day); w.wait(4 * time.Hour) },
		"not followed":   func(w *world) { w.now.Wall = w.now.Wall.Add(4 * time.Hour); w.wait(0) },
		"total, clock set back": func(w *world) {
			w.now.Wall = w.now.Wall.Add(-1000 * day)
			w.entryOf(client).until = advance(w.now, 100*day)
			w.wait(30 * day)
		},
	} {
		w := newWorld(t, nil)
		w.learn(client, noCipher)
		published := w.Table()
		if n := published.AsOf(w.now).Len(); n != 1 {
			t.Errorf("%s: %d entries", name, n)
		}
		set(w)
		w.expect(w.suppress, client, false, name)
		if published.AsOf(w.now).Len() != 0 && name != "total, clock set back" {
			t.Errorf("%s: a table that was published before still has the entry", name)
		}
	}
}

// After the end of its life by the clock, an entry matches no client, even if no table is published any more.
func TestLifeEndsWithoutTable(t *testing.T) {
	w := newWorld(t, manySessions)
	w.learn(client, noCipher)
	w.now.Wall = w.now.Wall.Add(4*time.Hour - 1)
	w.expect(w.suppress, client, true, "before the end")
	w.now.Wall = w.now.Wall.Add(1)
	w.expect(w.suppress, client, false, "at the end")
}

// A dormant entry that fails in another way says nothing of the old one.
func TestDormantFailsOtherwise(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	w.wait(5 * time.Hour)
	w.add(client, fails(noKeyShare))
	w.expect(w.suppress, client, false, "another class")
	w.wait(time.Hour)
	w.add(client, fails(noCipher))
	w.expect(w.suppress, client, false, "one of the old class")
}

// Confirmation needs what making needs: no immunity, no list against it.
func TestConfirmationObeysRules(t *testing.T) {
	for name, refuse := range map[string]func(w *world){
		"denied":  func(w *world) { w.standing = StandingDenied },
		"breaker": func(w *world) { _ = w.OpenBreaker(w.tx, w.now, "test") },
		"repeated log": func(w *world) {
			w.add(client, fails(noCipher), ending(w.now.Wall.Add(-5*time.Hour)))
			w.now.Wall = w.now.Wall.Add(-5 * time.Hour)
		},
	} {
		w := newWorld(t, nil)
		w.learn(client, noCipher)
		w.wait(5 * time.Hour)
		refuse(w)
		w.add(client, fails(noCipher))
		w.expect(w.suppress, client, false, name)
	}
}

// Rule 9: every tenth session is a probe, and the first after a day without one. A review repeats the answer.
func TestProbes(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Life, o.MinSessions = 7*day, 1000 })
	w.learn(client, noCipher)
	for i := 1; i <= 30; i++ {
		if got, want := connect(w.suppress, client), i%10 != 0; got != want || isReviewed(w.suppress, client) != got {
			t.Fatalf("session %d: %v, then %v; want %v", i, got, isReviewed(w.suppress, client), want)
		}
	}
	w.wait(time.Second)
	w.wait(23 * time.Hour)
	if !connect(w.suppress, client) {
		t.Error("probed after less than a day")
	}
	w.wait(time.Hour)
	if connect(w.suppress, client) || isReviewed(w.suppress, client) {
		t.Error("not probed after a day")
	}
	w.wait(time.Hour)
	if !connect(w.suppress, client) {
		t.Error("probed twice")
	}
	w.wait(24 * time.Hour)
	if w.start(w.options); connect(w.suppress, client) {
		t.Error("not probed after a day and a restart")
	}
	r, _ := w.Report(w.tx, w.now)
	if e := r.Entries[0]; e.Probes != 5 || e.Sessions != 29 || e.LastProbe == nil {
		t.Errorf("%+v", e)
	}
}

// Rule 9: success ends an entry at once, and is a warning if the client had been suppressed.
func TestProbeSucceeds(t *testing.T) {
	for _, suppressed := range []bool{false, true} {
		w := newWorld(t, nil)
		w.learn(client, noCipher)
		if suppressed && !connect(w.suppress, client) {
			t.Fatal("not suppressed")
		}
		w.now = advance(w.now, time.Minute)
		w.events = nil
		w.add(client, succeeds("TLSv1.2"))
		w.expect(w.suppress, client, false, "success")
		if len(w.events) != 1 || w.events[0].Kind != EventRepaired || w.events[0].Warning != suppressed {
			t.Errorf("suppressed %v: %v", suppressed, w.events)
		}
		w.wait(time.Hour)
		w.learn(client, noCipher)
		w.expect(w.suppress, client, false, "immune")
	}
}

// Rule 8: a client that is left alone for good is that even if it looks like a scanner later.
func TestScannerIsLeftAloneForGood(t *testing.T) {
	w := newWorld(t, manySessions)
	w.learn(client, noCipher)
	w.wait(30 * day)
	w.add(client, fails(noCipher), isScanner)
	w.wait(8 * day)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, false, "a scanner after its total life")
	if !w.refused(client, "30d in all") {
		t.Error("it is not said that its entry ended")
	}
}

// Rule 8: a probe that fails confirms, at the end of the life, and once.
func TestProbeFails(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	for range 4 {
		w.wait(30 * time.Minute)
		w.add(client, fails(noCipher))
	}
	w.wait(2*time.Hour + time.Second)
	w.expect(w.suppress, client, true, "confirmed by a probe")
	w.wait(8*time.Hour - 2*time.Second)
	w.expect(w.suppress, client, true, "lives twice as long")
	w.wait(2 * time.Second)
	w.expect(w.suppress, client, false, "lives only twice as long")
}

// A client that asks for TLS where it is hidden is refused, which is neither a probe nor another way of failing.
func TestRefused(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	w.wait(time.Minute)
	for range 5 {
		w.add(client, fails("starttls-refused"), delivers(1))
		w.wait(time.Second)
	}
	w.add(client, fails(noCipher))
	w.expect(w.suppress, client, true, "a probe failed after it was refused")
	if w.entryOf(client).messages != 5 {
		t.Errorf("%d messages", w.entryOf(client).messages)
	}
}

// Rule 10: an entry that brings no mail ends. One that brought some stays.
func TestProofOfUse(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	use := func(messages int, change ...func(*maillog.Session)) {
		w.wait(time.Minute)
		w.add(client, append(change, delivers(messages), func(s *maillog.Session) { s.TLS = maillog.TLSNotOffered })...)
	}
	for range 2 {
		use(0)
		use(0, func(s *maillog.Session) { s.Server = maillog.Postscreen })
		use(0, ending(w.now.Wall.Add(-time.Minute))) // the log is read twice
		use(0, ending(epoch))                        // before the entry
		use(0, func(s *maillog.Session) { s.Time = epoch })
	}
	w.expect(w.suppress, client, true, "two sessions")
	use(1)
	for range 5 {
		use(0)
	}
	w.expect(w.suppress, client, true, "brought a message")

	w = newWorld(t, nil)
	w.learn(client, noCipher)
	for range 3 {
		use(0)
	}
	w.expect(w.suppress, client, false, "three sessions without mail")
	w.wait(6 * day)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, false, "left alone")
	w.wait(day)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, true, "a week later")
}
