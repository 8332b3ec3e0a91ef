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

// usual has the breaker of the defaults.
func usual(o *Options) {
	d := Defaults()
	o.BreakerClients, o.BreakerMinimum = d.BreakerClients, d.BreakerMinimum
}

// manyHandshakes is so much traffic that few failures are no share of it.
func (w *world) manyHandshakes() {
	for i := range 1000 {
		w.add(fmt.Sprintf("203.0.%d.%d", i/250, i%250), succeeds("TLSv1.3"), named(""))
	}
}

// Rule 12: five clients that fail for the first time within ten minutes open the breaker for an hour.
func TestBreakerOpens(t *testing.T) {
	failAll := func(n int, apart time.Duration, change ...func(*maillog.Session)) *world {
		w := newWorld(t, usual)
		for i := range n {
			w.manyHandshakes()
			w.add(fmt.Sprintf("198.51.%d.1", i), append([]func(*maillog.Session){fails(noCipher)}, change...)...)
			w.wait(apart)
		}
		return w
	}
	for name, c := range map[string]struct {
		w    *world
		open bool
	}{
		"five":             {failAll(5, 2*time.Minute), true},
		"four":             {failAll(4, time.Second), false},
		"over a long time": {failAll(20, 3*time.Minute), false},
		"scanners":         {failAll(20, time.Second, isScanner), false},
		"transient":        {failAll(20, time.Second, fails("lost-connection")), false},
		"certificate":      {failAll(5, time.Second, fails("alert-certificate-expired")), true},
		"submission":       {failAll(20, time.Second, onService("submission")), false},
		"local":            {failAll(1, time.Second, fails("local-problem")), true},
	} {
		if c.w.state.open != c.open || c.w.hasEvent(EventBreakerOpen) != c.open {
			t.Errorf("%s: open: %v, %v", name, c.w.state.open, c.w.events)
		}
	}
	w := newWorld(t, usual) // one client that fails again and again
	for range 100 {
		w.manyHandshakes()
		w.add(client, fails(noCipher))
		w.wait(time.Second)
	}
	if w.state.open {
		t.Error("one client opened the breaker")
	}
	w = newWorld(t, usual) // one client that fails and succeeds in turn
	for range 10 {
		w.manyHandshakes()
		w.add(client, succeeds("TLSv1.3"))
		w.add(client, fails(noCipher))
		w.wait(50 * time.Second)
	}
	if w.state.open {
		t.Error("one client that also succeeds opened the breaker")
	}
	w = newWorld(t, usual) // scanners that the reader of the log did not find
	w.manyHandshakes()
	for i := range 20 {
		w.add(fmt.Sprintf("198.51.%d.1", i), fails("lost-connection"))
		w.add(fmt.Sprintf("198.51.%d.1", i), fails(noCipher))
	}
	if w.state.open {
		t.Error("scanners opened the breaker")
	}
	w = newWorld(t, usual) // clients that failed long ago, once
	for i := range 6 {
		w.add(fmt.Sprintf("198.51.%d.1", i), fails(noCipher))
		w.wait(time.Hour)
	}
	w.manyHandshakes()
	for i := range 6 {
		w.add(fmt.Sprintf("198.51.%d.1", i), fails(noCipher))
	}
	if w.state.open {
		t.Error("clients that had failed before opened the breaker")
	}
}

// Rule 12: three clients suffice if they are two of a hundred handshakes.
func TestBreakerShare(t *testing.T) {
	for name, c := range map[string]struct {
		clients, handshakes int
		wait                time.Duration
		want                bool
	}{"2 %": {3, 147, 0, true}, "less": {3, 148, 0, false}, "two clients": {2, 10, 0, false}, "old handshakes": {3, 1000, 11 * time.Minute, true}} {
		w := newWorld(t, usual)
		for range c.handshakes {
			w.add("203.0.113.1", succeeds("TLSv1.3"))
		}
		w.wait(c.wait)
		for i := range c.clients {
			w.add(fmt.Sprintf("198.51.%d.1", i), fails(noCipher))
		}
		if w.state.open != c.want {
			t.Errorf("%s: open: %v", name, w.state.open)
		}
	}
}

// Rule 12: what an open breaker does, for an hour after the last cause, even over a restart.
func TestOpenBreaker(t *testing.T) {
	w := newWorld(t, nil)
	w.learn("198.51.100.1", noCipher, named("old.example"))
	w.wait(11 * time.Minute)
	w.learn("198.51.101.1", noCipher, named("new.example"))
	w.add(client, fails(noCipher))
	w.add("198.51.102.1", fails(noCipher), named("late.example"))
	w.wait(5 * time.Minute)
	w.events = nil
	if err := w.OpenBreaker(w.tx, w.now, "the certificate changed"); err != nil {
		t.Fatal(err)
	}
	w.publish()
	w.expect(w.suppress, "198.51.100.1", true, "made long before")
	w.expect(w.suppress, "198.51.101.1", false, "made shortly before")
	if !w.refused(client, "the certificate changed") || !w.hasEvent(EventWithdrawn) || !w.hasEvent(EventBreakerOpen) {
		t.Errorf("it is not told that the breaker is open: %v", w.events)
	}
	w.start(w.options)
	w.wait(40 * time.Minute)
	_ = w.OpenBreaker(w.tx, w.now, "again")
	w.wait(59 * time.Minute)
	w.now.Wall = w.now.Wall.Add(day) // which proves nothing
	w.learn(client, noCipher)
	w.expect(w.suppress, client, false, "failed before and while it was open")
	if w.wait(0); w.state.open || !w.hasEvent(EventBreakerClose) {
		t.Errorf("still open, %v", w.events)
	}
	w.wait(31 * time.Minute)
	w.add(client, fails(noCipher))
	w.expect(w.suppress, client, true, "three failures after it closed")
	w.add("198.51.102.1", fails(noCipher), named("late.example"))
	w.wait(31 * time.Minute)
	w.add("198.51.102.1", fails(noCipher), named("late.example"))
	w.expect(w.suppress, "198.51.102.1", false, "failed before it was open, and twice since")
}

// Rule 12: an entry that was confirmed shortly before counts as made then, and nothing is confirmed while the breaker is open.
func TestOpenBreakerConfirmsNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.learn(client, noCipher)
	w.wait(5 * time.Hour)
	w.add(client, fails(noCipher))
	w.expect(w.suppress, client, true, "confirmed")
	_ = w.OpenBreaker(w.tx, w.now, "test")
	if w.publish(); w.entryOf(client) != nil {
		t.Error("an entry that was confirmed a moment ago is still there")
	}

	w = newWorld(t, nil)
	w.learn(client, noCipher)
	w.wait(time.Hour)
	_ = w.OpenBreaker(w.tx, w.now, "test")
	w.wait(time.Minute)
	w.add(client, fails(noCipher))
	w.wait(3 * time.Hour)
	w.expect(w.suppress, client, false, "a probe failed while the breaker was open")

	w = newWorld(t, nil)
	w.learn(client, noCipher)
	w.wait(time.Hour)
	w.add(client, fails(noCipher))
	w.standing = StandingDenied
	w.wait(3 * time.Hour)
	w.expect(w.suppress, client, false, "a probe failed, and another list denies the client")
}
