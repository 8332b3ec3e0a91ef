package learn

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/maillog"
)

var printer = netip.MustParseAddr("192.0.2.7")

// bench is a service in a test, with clocks that the test sets.
type bench struct {
	*Service
	testing.TB
	start        time.Time
	wall         atomic.Int64 // what is added to the clock of the machine, in ns
	unfollowed   atomic.Bool
	never        atomic.Bool // all clients
	unknown      atomic.Bool // the list of them is unavailable
	panics       atomic.Bool // the list of them does
	mu           sync.Mutex
	events       []Event
	stop         func()
	environments Environment
}

// options returns those of a service with both kinds of lists and small numbers.
func options(path string) Options {
	f, e := fallback.Defaults(), earned.Defaults()
	f.Suppress, f.Spacing, f.Span = true, time.Second, 2*time.Second
	e.Days, e.Sessions = 1, 2
	return Options{State: path, Fallback: &f, Earned: &e, ObserveFor: time.Hour}
}

func newBench(t testing.TB, o Options) *bench {
	b := &bench{TB: t, start: time.Now(), stop: func() {}}
	b.environments = Environment{
		Clock:      func() time.Time { return time.Now().Add(time.Duration(b.wall.Load())) },
		Monotonic:  func() time.Duration { return time.Since(b.start) },
		IsFollowed: func() bool { return !b.unfollowed.Load() },
		Never:      b,
		Standing:   func(lists.Client) fallback.Standing { return fallback.StandingNone },
		Notify: func(e Event) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
		},
	}
	b.Service = New(o, b.environments, nil)
	return b
}

// Lookup implements [lists.Source], for Environment.Never.
func (b *bench) Lookup(lists.Client) lists.Match {
	if b.panics.Load() {
		panic("on purpose")
	}
	if b.unknown.Load() {
		return lists.Match{Status: lists.Unavailable}
	}
	if b.never.Load() {
		return lists.Match{Status: lists.Matched}
	}
	return lists.Match{}
}

// run starts the service. The test ends it, or calls stop.
func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	b.stop = sync.OnceFunc(func() { cancel(); <-done })
	b.Cleanup(b.stop)
}

func (b *bench) kinds() (kinds []EventKind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (b *bench) has(kind EventKind) bool { return slices.Contains(b.kinds(), kind) }

// session returns a session on port 25 that ended just now.
func (b *bench) session(change func(*maillog.Session)) *maillog.Session {
	now := b.environments.Clock()
	s := &maillog.Session{Time: now, End: now, Service: maillog.ServiceSMTP, Addr: printer, Name: "printer.example.org", Complete: true}
	change(s)
	return s
}

// fail adds a session in which TLS fails as it does with a client that is incapable of it.
func (b *bench) fail(addr netip.Addr) {
	b.Add(b.session(func(s *maillog.Session) {
		s.Addr, s.TLS, s.Outcome = addr, maillog.TLSFailed, maillog.OutcomeIncapable
		s.Class = classOf("no-shared-cipher")
	}))
}

// succeed adds a session in which TLS works and mail is accepted.
func (b *bench) succeed(addr netip.Addr) {
	b.Add(b.session(func(s *maillog.Session) {
		s.Addr, s.TLS, s.Version, s.Mail, s.Messages = addr, maillog.TLSOK, "TLSv1.3", maillog.MailAccepted, 1
	}))
}

func classOf(word string) maillog.Class {
	for _, c := range maillog.FailureClasses() {
		if c.String() == word {
			return c
		}
	}
	panic(word)
}

func (b *bench) suppresses(addr netip.Addr) bool {
	return b.Fallback(lists.Suppress).Lookup(lists.Client{Addr: addr}).Status == lists.Matched
}

func (b *bench) earns(addr netip.Addr) lists.Status {
	return b.Earned().Lookup(lists.Client{Addr: addr}).Status
}

func statePath(t testing.TB) string { return filepath.Join(t.TempDir(), "learned.db") }
