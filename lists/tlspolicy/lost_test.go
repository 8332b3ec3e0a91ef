package tlspolicy

import (
	"path/filepath"
	"testing"
	"time"
)

// A policy that is announced, and cannot be fetched from here, may be fetched by senders: what was known before is out
// of date.
func TestAnnouncedAndNotFetched(t *testing.T) {
	for _, before := range []string{"", policyText("testing", day)} {
		w := newWorld(t)
		id := ""
		if before != "" {
			id = "a"
		}
		w.publish(id, before)
		if w.domain(); w.Active() {
			t.Fatalf("before: %+v", w.domain())
		}
		w.publish("b", "") // the record is there, and no policy is served
		w.domain()
		w.clock.advance(30 * day)
		if d := w.domain(); !w.Active() {
			t.Errorf("inactive: %+v", d)
		}
		w.publish("b", policyText("none", day))
		if d := w.domain(); w.Active() {
			t.Errorf("active by a policy in mode none: %+v", d)
		}
	}
}

// A boot with a clock that is behind loses no commitment.
func TestBootWithWrongClock(t *testing.T) {
	w := newWorld(t)
	w.cfg.State = filepath.Join(t.TempDir(), "state.json")
	w.start()
	w.publish("a", enforce(30*day))
	w.domain()
	w.publish("", "")
	w.clock.advance(time.Hour)
	w.domain()
	w.file.writeState(w.saved())
	w.clock.advance(-365 * day)
	w.start()
	if w.domain(); !w.Active() {
		t.Error("inactive while the clock is behind")
	}
	w.file.writeState(w.saved())
	w.clock.advance(365*day + time.Hour)
	if d := w.domain(); !w.Active() {
		t.Errorf("inactive when the clock is right again: %+v", d)
	}
	w.clock.advance(37 * day)
	if d := w.domain(); w.Active() {
		t.Errorf("active for ever: %+v", d)
	}
}

// Nor does it if the commitment is published then, and withdrawn before the clock is right.
func TestGoneWhileClockIsWrong(t *testing.T) {
	w := newWorld(t)
	w.publish("a", enforce(30*day))
	w.domain()
	w.clock.advance(-365 * day)
	w.publish("b", enforce(day)) // and the longer one is not lost for it
	w.domain()
	w.clock.advance(30 * day)
	w.domain()
	w.publish("", "")
	w.domain()
	w.clock.advance((365-30+37)*day - time.Second)
	if d := w.domain(); !w.Active() {
		t.Errorf("inactive when the clock is right again: %+v", d)
	}
	w.clock.advance(time.Second)
	if d := w.domain(); w.Active() {
		t.Errorf("active for ever: %+v", d)
	}
}

// While the process is away senders get what is published, until it goes.
func TestGoneWhileAway(t *testing.T) {
	w := newWorld(t)
	w.cfg.State = filepath.Join(t.TempDir(), "state.json")
	w.start()
	w.publish("a", enforce(day))
	w.dns.setAnswer(mx, "10 mail.example.org.")
	w.dns.setAnswer(mailTLSA, tlsa)
	w.dns.secure(mailTLSA)
	w.domain()
	w.file.writeState(w.saved())
	w.clock.advance(60 * day)
	w.publish("", "")
	w.dns.setAnswer(mailTLSA)
	w.start()
	d := w.domain()
	if want := base.Add(68 * day); d.Commitment != Confirmed || !d.MTASTS.Until.Equal(want) {
		t.Errorf("want until %v: %+v", want, d)
	}
	if want := base.Add(67 * day); !d.DANE.Until.Equal(want) {
		t.Errorf("want until %v: %+v", want, d)
	}
}

// A clock that was ahead when the commitment was seen makes it no longer than it could be from now on.
func TestSeenByWrongClock(t *testing.T) {
	w := newWorld(t)
	w.clock.advance(3650 * day)
	w.publish("a", enforce(30*day))
	w.domain()
	w.clock.advance(-3650 * day)
	w.publish("", "")
	if w.domain(); !w.Active() {
		t.Error("inactive at once")
	}
	w.clock.advance(37 * day)
	if d := w.domain(); w.Active() {
		t.Errorf("active for ever: %+v", d)
	}
}

// A Monitor that replaces another knows what that one knew.
func TestPrevious(t *testing.T) {
	w := newWorld(t)
	w.publish("a", enforce(30*day))
	w.domain()
	w.publish("", "")
	w.domain()
	next := New(Options{Domains: w.cfg.Domains, Local: true, Roots: w.roots, Dial: w.dialPolicyHost, Previous: w.Monitor}, w.dns, w.clock.currentTime)
	next.Check(t.Context())
	if !next.Active() {
		t.Errorf("inactive: %+v", next.Report())
	}
}

// An MX host that cannot be looked up does not hide the records of another.
func TestOneBadMX(t *testing.T) {
	w := newWorld(t)
	if w.domain(); w.Active() {
		t.Fatal("active before")
	}
	w.dns.setAnswer(mx, "10 mail.example.org.", "20 dead.example.net.")
	w.dns.setAnswer(mailTLSA, tlsa)
	w.dns.secure(mailTLSA)
	w.dns.failQueries("dead.example.net CNAME")
	if d := w.domain(); !w.Active() {
		t.Errorf("inactive: %+v", d)
	}
}
