package tlspolicy

import (
	"path/filepath"
	"testing"
	"time"
)

// A policy that is announced, and cannot be had from here, may be had by others:
// what was known before is no longer so.
func TestAnnouncedAndNotHad(t *testing.T) {
	for _, before := range []string{"", aPolicy("testing", day)} {
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
		w.clock.add(30 * day)
		if d := w.domain(); !w.Active() {
			t.Errorf("free: %+v", d)
		}
		w.publish("b", aPolicy("none", day))
		if d := w.domain(); w.Active() {
			t.Errorf("held by a policy that is none: %+v", d)
		}
	}
}

// A boot with a clock that is behind does not lose what was promised.
func TestBootWithWrongClock(t *testing.T) {
	w := newWorld(t)
	w.cfg.State = filepath.Join(t.TempDir(), "state.json")
	w.start()
	w.publish("a", enforce(30*day))
	w.domain()
	w.publish("", "")
	w.clock.add(time.Hour)
	w.domain()
	w.file.save(w.saved())
	w.clock.add(-365 * day)
	w.start()
	if w.domain(); !w.Active() {
		t.Error("free while the clock is behind")
	}
	w.file.save(w.saved())
	w.clock.add(365*day + time.Hour)
	if d := w.domain(); !w.Active() {
		t.Errorf("free when the clock is right again: %+v", d)
	}
	w.clock.add(37 * day)
	if d := w.domain(); w.Active() {
		t.Errorf("held for ever: %+v", d)
	}
}

// Nor does it if the promise stands then, and goes before the clock is right.
func TestGoneWhileClockIsWrong(t *testing.T) {
	w := newWorld(t)
	w.publish("a", enforce(30*day))
	w.domain()
	w.clock.add(-365 * day)
	w.publish("b", enforce(day)) // and the longer one is not lost for it
	w.domain()
	w.clock.add(30 * day)
	w.domain()
	w.publish("", "")
	w.domain()
	w.clock.add((365-30+37)*day - time.Second)
	if d := w.domain(); !w.Active() {
		t.Errorf("free when the clock is right again: %+v", d)
	}
	w.clock.add(time.Second)
	if d := w.domain(); w.Active() {
		t.Errorf("held for ever: %+v", d)
	}
}

// While the process is away senders get what is published, until it goes.
func TestGoneWhileAway(t *testing.T) {
	w := newWorld(t)
	w.cfg.State = filepath.Join(t.TempDir(), "state.json")
	w.start()
	w.publish("a", enforce(day))
	w.dns.set(mx, "10 mail.example.org.")
	w.dns.set(mailTLSA, tlsa)
	w.dns.secure(mailTLSA)
	w.domain()
	w.file.save(w.saved())
	w.clock.add(60 * day)
	w.publish("", "")
	w.dns.set(mailTLSA)
	w.start()
	d := w.domain()
	if want := base.Add(68 * day); d.Commitment != Confirmed || !d.MTASTS.Until.Equal(want) {
		t.Errorf("want until %v: %+v", want, d)
	}
	if want := base.Add(67 * day); !d.DANE.Until.Equal(want) {
		t.Errorf("want until %v: %+v", want, d)
	}
}

// A clock that was ahead when the promise was seen makes it no longer than
// it could be from now on.
func TestSeenByWrongClock(t *testing.T) {
	w := newWorld(t)
	w.clock.add(3650 * day)
	w.publish("a", enforce(30*day))
	w.domain()
	w.clock.add(-3650 * day)
	w.publish("", "")
	if w.domain(); !w.Active() {
		t.Error("free at once")
	}
	w.clock.add(37 * day)
	if d := w.domain(); w.Active() {
		t.Errorf("held for ever: %+v", d)
	}
}

// A guard that replaces another knows what that one knew.
func TestAfter(t *testing.T) {
	w := newWorld(t)
	w.publish("a", enforce(30*day))
	w.domain()
	w.publish("", "")
	w.domain()
	next := New(Options{Domains: w.cfg.Domains, Local: true, Roots: w.roots, Dial: w.dial, Previous: w.Monitor}, w.dns, w.clock.time)
	next.Check(t.Context())
	if !next.Active() {
		t.Errorf("free: %+v", next.Report())
	}
}

// An MX host that cannot be asked about does not hide the records of another.
func TestOneBadMX(t *testing.T) {
	w := newWorld(t)
	if w.domain(); w.Active() {
		t.Fatal("held before")
	}
	w.dns.set(mx, "10 mail.example.org.", "20 dead.example.net.")
	w.dns.set(mailTLSA, tlsa)
	w.dns.secure(mailTLSA)
	w.dns.fail("dead.example.net CNAME")
	if d := w.domain(); !w.Active() {
		t.Errorf("free: %+v", d)
	}
}
