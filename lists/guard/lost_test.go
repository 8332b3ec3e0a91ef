package guard

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
		if w.domain(); w.Holds() {
			t.Fatalf("before: %+v", w.domain())
		}
		w.publish("b", "") // the record is there, and no policy is served
		w.domain()
		w.clock.add(30 * day)
		if d := w.domain(); !w.Holds() {
			t.Errorf("free: %+v", d)
		}
		w.publish("b", aPolicy("none", day))
		if d := w.domain(); w.Holds() {
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
	w.file.write(w.remember())
	w.clock.add(-365 * day)
	w.start()
	if w.domain(); !w.Holds() {
		t.Error("free while the clock is behind")
	}
	w.file.write(w.remember())
	w.clock.add(365*day + time.Hour)
	if d := w.domain(); !w.Holds() {
		t.Errorf("free when the clock is right again: %+v", d)
	}
	w.clock.add(30 * day)
	if d := w.domain(); w.Holds() {
		t.Errorf("held for ever: %+v", d)
	}
}

// A clock that was ahead when the promise was seen makes it no longer than
// max_age from now on.
func TestSeenByWrongClock(t *testing.T) {
	w := newWorld(t)
	w.clock.add(3650 * day)
	w.publish("a", enforce(30*day))
	w.domain()
	w.clock.add(-3650 * day)
	w.publish("", "")
	if w.domain(); !w.Holds() {
		t.Error("free at once")
	}
	w.clock.add(31 * day)
	if d := w.domain(); w.Holds() {
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
	next := New(w.cfg, w.dns, w.clock.time, w.log, After(w.Guard))
	next.Check(t.Context())
	if !next.Holds() {
		t.Errorf("free: %+v", next.State())
	}
}

// An MX host that cannot be asked about does not hide the records of another.
func TestOneBadMX(t *testing.T) {
	w := newWorld(t)
	if w.domain(); w.Holds() {
		t.Fatal("held before")
	}
	w.dns.set(mx, "10 mail.example.org.", "20 dead.example.net.")
	w.dns.set(mailTLSA, tlsa)
	w.dns.secure(mailTLSA)
	w.dns.fail("dead.example.net CNAME")
	if d := w.domain(); !w.Holds() {
		t.Errorf("free: %+v", d)
	}
}
