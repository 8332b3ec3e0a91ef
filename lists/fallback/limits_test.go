package fallback

import (
	"fmt"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

// Rule 11: entries suppress a share of the sessions of an hour, and some always.
func TestShareOfSessions(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Life = 7 * day })
	count := func() (suppressed int) {
		for range 100 {
			if connect(w.suppress, client) {
				suppressed++
			}
		}
		return suppressed
	}
	w.learn(client, noCipher)
	w.events = nil
	if got := count(); got != 20 || isReviewed(w.suppress, client) {
		t.Errorf("%d sessions suppressed without traffic, then %v; want 20, and none", got, isReviewed(w.suppress, client))
	}
	w.wait(time.Second)
	w.wait(time.Second)
	if len(w.events) != 1 || w.events[0].Kind != EventCap || !w.events[0].Warning {
		t.Errorf("%v; want one warning", w.events)
	}
	w.learned("198.51.100.1", false)
	if w.start(w.options); count() != 0 {
		t.Error("a restart begins the hour anew")
	}
	for range 10_000 {
		w.add("203.0.113.9", delivers(0), ending(w.now.Wall.Add(-2*time.Hour)))
	}
	if w.wait(time.Second); count() != 0 {
		t.Error("sessions of an old log count")
	}
	for range 10_000 {
		w.add("203.0.113.9", delivers(0))
	}
	w.wait(time.Second)
	if got := count(); got != 50-20 {
		t.Errorf("%d more sessions suppressed of 10,000; want 30", got)
	}
	w.wait(time.Hour)
	if got := count(); got != 50 {
		t.Errorf("%d sessions suppressed in the next hour; want 50", got)
	}
	w.wait(time.Hour)
	if got := count(); got != 20 {
		t.Errorf("%d sessions suppressed in the hour after that; want 20", got)
	}
	w.wait(time.Hour)
	w.learned("198.51.100.1", true)
	for range 10_000 {
		w.add("203.0.113.9", delivers(0))
	}
	w.wait(2 * time.Hour)
	if got := count(); got != 20 {
		t.Errorf("%d sessions suppressed two hours after much traffic; want 20", got)
	}
}

// learned makes a client fail often enough, with enough evidence collected within this hour or before.
func (w *world) learned(addr string, want bool) {
	w.Helper()
	e := w.options
	w.options.Spacing, w.options.Span = 0, 0
	for range 3 {
		w.add(addr, fails(noCipher), named("copier.example"))
	}
	w.options = e
	w.expect(w.suppress, addr, want, "budget spent: %v")
}

// A legacy entry suppresses nothing.
func TestShareOfLegacy(t *testing.T) {
	w := newWorld(t, both)
	w.learn(client, oldVersion)
	n := 0
	for range 1000 {
		if connect(w.legacy, client) {
			n++
		}
	}
	if n != 900 {
		t.Errorf("%d sessions; want all but the probes", n)
	}
}

// An attacker who completes TLS from many networks of IPv6 makes no client of IPv4 forgotten, nor the other way around.
func TestImmunityByFamily(t *testing.T) {
	const v4, v6 = "192.0.2.1", "2001:db9::1"
	for kept, flood := range map[string]string{v4: "2001:db8:%x::1", v6: "198.51.%d.1"} {
		w := newWorld(t, func(o *Options) { o.MaxImmune = 10 })
		w.add(kept, succeeds("TLSv1.3"), named(""))
		for i := range 100 {
			w.wait(time.Hour)
			w.add(fmt.Sprintf(flood, i), succeeds("TLSv1.3"), named(""))
		}
		for _, why := range []string{"it completed TLS", "a client of "} {
			near := w.lookup(kept)
			if why == "a client of " {
				near = near.Next()
				if near.Is6() {
					near = w.lookup("2001:db9:0:1::1")
				}
			}
			if !w.refused(near.String(), "immune: "+why) {
				t.Errorf("%s is forgotten after many like %s", kept, flood)
			}
		}
		if r, err := w.Report(w.tx, w.now); err != nil || r.Immune != 11 {
			t.Errorf("%d are immune, %v; want 11", r.Immune, err)
		}
	}
}

// Records of IPv6 that an older version kept beside those of IPv4 count, and move with the next success.
func TestImmunityOfOlderVersion(t *testing.T) {
	const old = "2001:db9::1"
	w := newWorld(t, nil)
	addr := w.lookup(old)
	for bucket, key := range map[*agedBucket][]byte{w.immune.v4: hostKey(addr), w.networks.v4: nearKey(addr)} {
		if _, err := noteSuccess(w.tx, bucket, key, w.now, true); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		if !w.refused(old, "immune: it completed TLS") || !w.refused("2001:db9:0:9::1", "immune: a client of") {
			t.Errorf("%d: forgotten", i)
		}
		if r, err := w.Report(w.tx, w.now); err != nil || r.Immune != 1 || w.immune.v6.records(w.tx).Count() != i || w.networks.v6.records(w.tx).Count() != i {
			t.Errorf("%d: %d are immune, %v", i, r.Immune, err)
		}
		w.wait(2 * time.Hour)
		w.add(old, succeeds("TLSv1"), named(""))
	}
	if s, ok := findSuccess(w.tx, w.immune.v6, hostKey(addr)); !ok || s.modern == 0 {
		t.Errorf("%+v: TLS 1.2 is forgotten", s)
	}
}

// Rule 11: so many entries, and no more. A dormant one makes room.
func TestNumberOfEntries(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxEntries = 3 })
	addr := func(i int) string { return fmt.Sprintf("198.51.%d.1", i) }
	name := func(i int) func(*maillog.Session) { return named(fmt.Sprintf("printer%d.example", i)) }
	for i := range 3 {
		w.learn(addr(i), noCipher, name(i))
		w.wait(time.Minute)
	}
	w.events = nil
	for i := 3; i < 6; i++ {
		w.learned(addr(i), false)
	}
	if n := len(w.events); n != 1 || w.events[0].Kind != EventCap {
		t.Errorf("%d events, want one: %v", n, w.events)
	}
	w.wait(w.entryOf(addr(0)).until.Wall.Sub(w.now.Wall))
	w.learn(addr(7), noCipher, name(7))
	w.expect(w.suppress, addr(7), true, "in place of one that is dormant")
	if len(w.entries) != 3 || w.entryOf(addr(0)) != nil {
		t.Errorf("%d entries", len(w.entries))
	}
	w.options.MaxEntries = 2
	if w.start(w.options); len(w.entries) != 2 {
		t.Errorf("%d entries after the limit was lowered to 2", len(w.entries))
	}
}
