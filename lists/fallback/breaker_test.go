package fallback

import (
	"fmt"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

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
		"gone away":        {failAll(20, time.Second, fails("lost-after-starttls")), false},
		"refused":          {failAll(20, time.Second, fails("starttls-refused")), false},
		"rate-limited":     {failAll(20, time.Second, fails("rate-limited")), false},
		"ambiguous":        {failAll(5, time.Second, fails("alert-internal-error")), true},
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

// Rule 12: of one network two clients count, however many fail, and they push out none of another.
func TestBreakerNetworks(t *testing.T) {
	const v4, v6 = "198.51.100.%d", "2001:db8:1:%x::1"
	for name, c := range map[string]struct {
		networks []string // of clients that fail in turn
		others   int      // clients of networks of their own, that fail before
		open     bool
	}{
		"one /48":                      {[]string{v6}, 0, false},
		"one /24":                      {[]string{v4}, 0, false},
		"two networks":                 {[]string{v4, v6}, 0, false},
		"three networks":               {[]string{v4, v6, "2001:db8:2:%x::1"}, 0, true},
		"one /48, and three clients":   {[]string{v6}, 3, true},
		"one /48, and two clients":     {[]string{v6}, 2, false},
		"two networks, and one client": {[]string{v4, v6}, 1, true},
	} {
		w := newWorld(t, usual)
		w.manyHandshakes()
		for i := range c.others {
			w.add(fmt.Sprintf("192.0.%d.1", i), fails(noCipher))
		}
		for i := range 50 {
			for _, network := range c.networks {
				w.add(fmt.Sprintf(network, i), fails(noCipher))
			}
			w.wait(time.Second)
		}
		if w.state.open != c.open {
			t.Errorf("%s: open: %v", name, w.state.open)
		}
	}
	w := newWorld(t, usual) // for as long as an attacker likes
	for i := range 60 {
		w.manyHandshakes()
		w.add(fmt.Sprintf(v6, i), fails(noCipher))
		if w.wait(time.Minute); w.state.open {
			t.Fatal("an attacker with one network opened the breaker")
		}
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
	w.events = nil
	if _ = w.OpenBreaker(w.tx, w.now, "again"); len(w.events) != 0 {
		t.Errorf("told again: %v", w.events)
	}
	w.wait(59 * time.Minute)
	w.now.Wall = w.now.Wall.Add(2 * time.Hour) // which proves nothing
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
