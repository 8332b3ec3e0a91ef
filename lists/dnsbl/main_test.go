package dnsbl

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/iprev"
	"ehlogate/lists/test/dnsfake"
	"ehlogate/lists/test/listtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a client that queries a book, in a bubble of its own time.
type world struct {
	*testing.T
	*dnsfake.Book
	*Client
	events *dnsfake.Events
	names  *iprev.Verifier
	stop   func() // Run, and wait until it has returned
}

// start makes one; it runs once run is called.
func start(t *testing.T, cfg dnscache.Options) *world {
	w := &world{T: t, Book: dnsfake.NewBook(), events: new(dnsfake.Events)}
	w.Client = New(dnscache.New(cfg, time.Now, w.events.Notify), w.Book)
	w.stop = func() {}
	return w
}

// Names returns the verifier of host names, with the same cache.
func (w *world) Names() *iprev.Verifier {
	if w.names == nil {
		w.names = iprev.New(w.cache, w.Book)
	}
	return w.names
}

// stats are those of zones and cache.
type stats struct {
	Zones []ZoneStats
	dnscache.Stats
}

func (w *world) Stats() stats { return stats{w.Client.Stats(), w.cache.Stats()} }

// run lets the service run, and the first self-tests be over.
func (w *world) run() {
	w.stop = w.begin()
	synctest.Wait()
}

func (w *world) begin() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.cache.Run(ctx) }()
	stop = func() { cancel(); <-done }
	w.Cleanup(stop)
	return stop
}

// bubble runs a test in a bubble.
func bubble(t *testing.T, cfg dnscache.Options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(start(t, cfg)) })
}

func at(addr string) lists.Client { return lists.Client{Addr: netip.MustParseAddr(addr)} }

// now asks without a wait.
func (w *world) now(s *List, c lists.Client) lists.Status { return s.Lookup(c).Status }

// within asks with a wait.
func (w *world) within(d time.Duration, s *List, c lists.Client) lists.Status {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return listtest.Lookup(ctx, s, c).Status
}

// want asks without a wait.
func (w *world) want(s *List, addr string, want lists.Status) {
	w.Helper()
	if got := w.now(s, at(addr)); got != want {
		w.Errorf("%s is %s, want %s", addr, word(got), word(want))
	}
}

// learn asks with a wait.
func (w *world) learn(s *List, addr string, want lists.Status) {
	w.Helper()
	if got := w.within(300*time.Millisecond, s, at(addr)); got != want {
		w.Errorf("%s is %s after a wait, want %s", addr, word(got), word(want))
	}
}

func word(s lists.Status) string {
	return [...]string{"absent", "held", "excepted", "unavailable", "pending"}[s]
}

// one is a list of one zone.
func (w *world) one(zone string) *List {
	return w.List(Spec{Zones: []Zone{{Domain: NewDomain(zone, ""), Weight: 1}}, Threshold: 1})
}

func (w *world) zone(name string) ZoneStats {
	for _, z := range w.Stats().Zones {
		if z.Zone.String() == name {
			return z
		}
	}
	w.Fatalf("no zone %s", name)
	return ZoneStats{}
}
