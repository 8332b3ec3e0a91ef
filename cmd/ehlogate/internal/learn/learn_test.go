package learn

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"ehlogate/lists"
	"ehlogate/lists/fallback"
	"ehlogate/lists/maillog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// learnPrinter has a client fail until it has an entry.
func (b *bench) learnPrinter() {
	b.Helper()
	for range 3 {
		b.fail(printer)
		time.Sleep(3 * time.Second) // of a clock that a test of synctest advances
	}
	if !b.suppresses(printer) {
		report, err := b.Client(b.Context(), printer)
		b.Fatalf("the client is not learned: %+v, %v, %v", report.Fallback, err, b.kinds())
	}
}

// What is learned is published, outlives the service, and ends with a success.
func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := statePath(t)
		b := newBench(t, options(path))
		if b.earns(printer) != lists.Unavailable {
			t.Error("the list of earned clients is not unavailable before it is known")
		}
		b.run()
		b.learnPrinter()
		if other := netip.MustParseAddr("192.0.2.8"); b.suppresses(other) || b.earns(other) != lists.NoMatch {
			t.Error("another client is learned")
		}
		if !b.has(EventKind(fallback.EventLearned)) || b.Status().Events()["learned"] != 1 {
			t.Errorf("got %v", b.kinds())
		}
		report, err := b.Report(t.Context())
		if err != nil || len(report.Fallback.Entries) != 1 || report.Earned == nil || report.Status.State != "ok" || report.Status.Bytes == 0 {
			t.Errorf("%+v, %v", report, err)
		}
		b.stop()

		b = newBench(t, options(path))
		b.run()
		time.Sleep(2 * time.Second)
		if !b.suppresses(printer) {
			t.Fatal("what was learned is lost")
		}
		b.succeed(printer)
		time.Sleep(1500 * time.Millisecond)
		b.succeed(printer)
		time.Sleep(1500 * time.Millisecond)
		if b.suppresses(printer) || !b.has(EventKind(fallback.EventRepaired)) || b.earns(printer) != lists.Matched {
			t.Errorf("%v, earned %v", b.kinds(), b.earns(printer))
		}
	})
}

// A client that completed TLS on submission is able to do it.
func TestSubmissionMakesImmune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, options(statePath(t)))
		b.run()
		b.Add(b.session(func(s *maillog.Session) {
			s.Service, s.TLS, s.Version = maillog.ServiceSubmissions, maillog.TLSOK, "TLSv1.3"
		}))
		for range 3 {
			b.fail(printer)
			time.Sleep(3 * time.Second)
		}
		if report, err := b.Client(t.Context(), printer); err != nil || b.suppresses(printer) || report.Fallback.Immune == "" {
			t.Errorf("%+v, %v", report.Fallback, err)
		}
	})
}

// A service with other settings goes on with the lists of the one before, also before it read the store.
func TestLearnTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := statePath(t)
		b := newBench(t, options(path))
		b.run()
		b.learnPrinter()
		followed, _ := b.Followed()
		o := options(path)
		o.Fallback.MaxEntries++
		if b.HasOptions(o) || !b.HasOptions(options(path)) {
			t.Error("HasOptions is wrong")
		}
		next := New(o, b.environments, b.Service)
		list := next.Fallback(lists.Suppress)
		if list != b.Fallback(lists.Suppress) || list.Lookup(lists.Client{Addr: printer}).Status != lists.Matched {
			t.Error("the client is not suppressed meanwhile")
		}
		b.stop()
		b.Service = next
		b.run()
		time.Sleep(2 * time.Second)
		if now, known := next.Followed(); !b.suppresses(printer) || !known || now < followed || now > followed+3*time.Second {
			t.Errorf("suppressed %v, followed %v after %v", b.suppresses(printer), now, followed)
		}
	})
}

// More sessions than fit are dropped, which is said once, and keeps fallback lists from learning: there may be successes
// among them. No caller waits.
func TestLearnDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, options(statePath(t)))
		for range maxQueued + 5 {
			b.succeed(printer)
		}
		b.Add(b.session(func(s *maillog.Session) { s.Service = maillog.ServiceSubmission })) // is not for learning
		if st := b.Status(); st.Dropped != 5 || !st.IsDegraded() || !slices.Equal(b.kinds(), []EventKind{SessionsDropped}) {
			t.Errorf("%+v, %v", st, b.kinds())
		}
		b.run()
		time.Sleep(2 * time.Second)
		if st := b.Status(); !strings.Contains(st.Breaker, "sessions were not read") {
			t.Errorf("%+v", st)
		}
		time.Sleep(droppedTime + time.Hour)
		if st := b.Status(); st.IsDegraded() {
			t.Errorf("%+v", st)
		}
	})
}

// The time for which logs were followed is kept, and counts no other.
func TestFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := statePath(t)
		b := newBench(t, options(path))
		isAbout := func(want time.Duration) {
			t.Helper()
			if got, known := b.Followed(); !known || (got-want).Abs() > 5*time.Second {
				t.Errorf("followed for %v, %v; want %v", got, known, want)
			}
		}
		if _, known := b.Followed(); known || b.Enforces() {
			t.Error("the time is known before the store was read")
		}
		b.run()
		time.Sleep(10 * time.Minute)
		isAbout(10 * time.Minute)
		b.unfollowed.Store(true)
		time.Sleep(10 * time.Minute)
		isAbout(10 * time.Minute)
		b.unfollowed.Store(false)
		b.wall.Add(int64(240 * time.Hour)) // the clock of the machine moves nothing
		time.Sleep(10 * time.Minute)
		isAbout(20 * time.Minute)
		if b.Enforces() {
			t.Error("fallback lists count after 20 minutes")
		}
		b.stop()
		b = newBench(t, options(path))
		b.run()
		time.Sleep(41 * time.Minute)
		isAbout(61 * time.Minute)
		if !b.Enforces() {
			t.Error("fallback lists do not count after an hour")
		}
	})
}

// A process that was stopped did not follow logs meanwhile.
func TestFollowedAfterPause(t *testing.T) {
	b := newBench(t, options(statePath(t)))
	now := b.time.last
	b.time.monotonic = func() time.Duration { return now }
	b.time.load(0)
	now += time.Hour
	b.time.advance()
	if got, _ := b.Followed(); got != maxAdvance {
		t.Errorf("%v, want %v", got, maxAdvance)
	}
}

// A clock that is set, also while the service does not run, and a file of the mail server that changes open the breaker, and
// nothing else does.
func TestBreakerReasons(t *testing.T) {
	for name, c := range map[string]struct {
		change func(b *bench, file string)
		says   string
	}{
		"forth":        {func(b *bench, _ string) { b.wall.Add(int64(6 * time.Minute)) }, "the clock of the machine was set by 6m0s"},
		"back":         {func(b *bench, _ string) { b.wall.Add(-int64(time.Hour)) }, "the clock of the machine was set by -1h0m0s"},
		"a little":     {func(b *bench, _ string) { b.wall.Add(int64(4 * time.Minute)) }, ""},
		"back, down":   {func(b *bench, _ string) { b.stop(); b.wall.Add(-int64(time.Hour)); b.restart() }, "the clock of the machine was set back by"},
		"nothing":      {func(*bench, string) {}, ""},
		"restart":      {func(b *bench, _ string) { b.stop(); b.restart() }, ""},
		"written":      {func(b *bench, file string) { b.write(file, "two") }, "main.cf changed"},
		"removed":      {func(b *bench, file string) { b.must(os.Remove(file)) }, "main.cf changed"},
		"written down": {func(b *bench, file string) { b.stop(); b.write(file, "two"); b.restart() }, "main.cf changed"},
		"lines lost":   {func(b *bench, _ string) { b.OpenBreaker("lines were lost") }, "lines were lost"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "main.cf")
				o := options(statePath(t))
				o.Watch = []string{file, filepath.Join(t.TempDir(), "*.pem")}
				b := newBench(t, o)
				b.write(file, "one")
				b.run()
				time.Sleep(watchTime + 2*time.Second)
				c.change(b, file)
				time.Sleep(watchTime + 2*time.Second)
				if got := b.Status().Breaker; (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
					t.Errorf("got %q, want %q", got, c.says)
				}
				if got := b.Status().IsDegraded(); got != (c.says != "") {
					t.Errorf("degraded: %v", got)
				}
			})
		})
	}
}

func (b *bench) restart() {
	b.Service = New(b.options, b.environments, nil)
	b.run()
}

func (b *bench) write(file, text string) {
	b.Helper()
	b.must(os.WriteFile(file, []byte(text), 0o600))
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// What was learned is kept while it is not known of which clients nothing may be learned, such as after a restart with a
// mistake in their list.
func TestAwaitsNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := statePath(t)
		b := newBench(t, options(path))
		b.run()
		b.learnPrinter()
		b.stop()
		b = newBench(t, options(path))
		b.unknown.Store(true)
		b.run()
		b.fail(netip.MustParseAddr("192.0.2.8"))
		time.Sleep(5 * time.Second)
		if b.suppresses(printer) || b.earns(printer) != lists.Unavailable || len(b.kinds()) != 0 {
			t.Errorf("suppressed %v, earned %v, %v", b.suppresses(printer), b.earns(printer), b.kinds())
		}
		b.unknown.Store(false)
		time.Sleep(2 * time.Second)
		if !b.suppresses(printer) {
			t.Error("what was learned is lost")
		}
	})
}
