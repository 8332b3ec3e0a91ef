package dnsbl

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/dnsfake"
)

// Beyond MaxLookups no client waits and no query is sent.
func TestBound(t *testing.T) {
	cfg := dnscache.Defaults()
	cfg.MaxLookups = 20
	bubble(t, cfg, func(w *world) {
		s := w.good("list.example")
		w.run()
		w.Do(func() { w.Delay = time.Second; w.Most = 0 })
		begin := time.Now()
		for i := range 1000 {
			want := lists.Pending
			if i >= 20 {
				want = lists.Unavailable
			}
			w.want(s, fmt.Sprintf("11.2.%d.%d", i/250, i%250), want)
		}
		for range 100 {
			w.learn(s, "11.3.0.1", lists.Unavailable)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		st := w.Stats()
		if st.InFlight != 20 || st.Rejected != 1080 || st.Zones[0].Rejected != 1080 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		w.want(s, "11.2.0.0", lists.NoMatch)
		w.want(s, "11.2.3.200", lists.Pending)
		time.Sleep(2 * time.Second)
		w.want(s, "11.2.3.200", lists.NoMatch)
		if w.Most != 20 || w.Stats().InFlight != 0 {
			t.Errorf("%d at once, %+v", w.Most, w.Stats())
		}
		w.events.Expect(t, "overloaded list.example (limit 20)")
	})
}

// A zone that is slow leaves room for the others.
func TestBoundIsShared(t *testing.T) {
	cfg := dnscache.Defaults()
	cfg.MaxLookups = 20
	bubble(t, cfg, func(w *world) {
		slow, other := w.good("slow.example"), w.good("other.example")
		w.run()
		w.Do(func() { w.Delay = time.Second })
		for i := range 100 {
			w.now(slow, at(fmt.Sprintf("11.2.0.%d", i)))
		}
		if st := w.Stats(); st.InFlight != 10 || st.Zones[1].InFlight != 10 {
			t.Errorf("%+v", st)
		}
		w.learn(other, listed, lists.Pending)
		if st := w.Stats(); st.InFlight != 11 || st.Zones[0].InFlight != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// What may be renewed later does not take the room of what is not known.
func TestPrefetchIsSpared(t *testing.T) {
	cfg := dnscache.Defaults()
	cfg.MaxLookups = 4
	bubble(t, cfg, func(w *world) {
		s := w.good("list.example")
		w.run()
		w.learn(s, listed, lists.Matched)
		time.Sleep(9*time.Minute + 30*time.Second)
		w.Do(func() { w.Delay = time.Second })
		w.want(s, "11.2.0.1", lists.Pending)
		w.want(s, "11.2.0.2", lists.Pending)
		w.want(s, listed, lists.Matched)
		if st := w.Stats(); st.InFlight != 2 || st.Zones[0].Prefetched != 0 || st.Rejected != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestEntriesAreBounded(t *testing.T) {
	for _, entries := range []int{1, 100, 5000} {
		cfg := dnscache.Defaults()
		cfg.CacheEntries = entries
		bubble(t, cfg, func(w *world) {
			s := w.good("list.example")
			w.run()
			for i := range 3 * entries {
				w.learn(s, fmt.Sprintf("11.%d.%d.%d", 2+i>>16, i>>8&255, i&255), lists.NoMatch)
			}
			n := w.Stats().Entries
			if n > entries || n < entries*9/10 {
				t.Errorf("%d entries of %d", n, entries)
			}
		})
	}
}

// A client that comes again and again stays in the cache, however many others come.
func TestHotEntriesStay(t *testing.T) {
	cfg := dnscache.Defaults()
	cfg.CacheEntries = 100
	bubble(t, cfg, func(w *world) {
		w.TTL = time.Hour
		s := w.good(bl)
		w.run()
		w.learn(s, listed, lists.Matched)
		for i := range 2000 {
			w.learn(s, fmt.Sprintf("11.2.%d.%d", i>>8, i&255), lists.NoMatch)
			w.want(s, listed, lists.Matched)
		}
		if n := w.Count("1.1.1.11." + bl + " A"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A query takes no longer than dnscache.CallTimeout.
func TestFlightEnds(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.Do(func() { w.Stuck = true })
		w.want(s, listed, lists.Pending)
		time.Sleep(dnscache.CallTimeout)
		synctest.Wait()
		w.want(s, listed, lists.Unavailable)
		if st := w.zone("list.example"); st.InFlight != 0 || st.Failed["timeout"] != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// When Run ends so does all that it started, and waiting callers go on.
func TestStop(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.Do(func() { w.Stuck = true })
		begin, got := time.Now(), make(chan lists.Status)
		go func() { got <- w.within(time.Minute, s, at(listed)) }()
		for i := range 2 * breaker.MaxFailures {
			w.want(s, fmt.Sprintf("11.2.0.%d", i), lists.Pending)
		}
		synctest.Wait()
		w.stop()
		if status, took := <-got, time.Since(begin); status != lists.Unavailable || took != 0 {
			t.Errorf("%s after %v", word(status), took)
		}
		st := w.zone("list.example")
		if st.State != "enabled" || st.InFlight != 0 {
			t.Errorf("%+v", st)
		}
		w.events.Expect(t)
		w.Mend()
		w.run() // again
		w.learn(s, listed, lists.Matched)
	})
}

// Run does not return before the resolver has.
func TestStopWaits(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		w.Client.resolver = stubborn{w.Book}
		s := w.good(bl)
		w.run()
		w.want(s, listed, lists.Pending)
		synctest.Wait()
		begin := time.Now()
		w.stop()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
		w.want(s, listed, lists.Matched)
	})
}

// stubborn answers about clients after a second, whatever the context says.
type stubborn struct{ *dnsfake.Book }

func (s stubborn) Query(_ context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	if strings.HasSuffix(name, ".11."+bl) {
		time.Sleep(time.Second)
	}
	return s.Book.Query(context.Background(), name, qtype)
}

// A fault in asking is a failed question, or a failed test.
func TestPanic(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.Do(func() { w.Records["1.1.1.11.list.example A"] = []string{"no address"} }) // where the book panics
		w.learn(s, listed, lists.Unavailable)
		w.learn(s, unlisted, lists.NoMatch)
		w.Do(func() { w.Records["2.0.0.127.bad.example A"] = []string{"no address"} })
		w.one("bad.example")
		synctest.Wait()
		if st := w.zone("bad.example"); st.State != "disabled" || !strings.HasPrefix(st.Error, "malformed: internal error: ") {
			t.Errorf("%+v", st)
		}
	})
}

// lagging delays what is asked of a zone.
type lagging struct {
	*dnsfake.Book
	zone string
	by   time.Duration
}

func (l *lagging) Query(ctx context.Context, name string, qtype uint16) (dnsclient.Answer, error) {
	if strings.HasSuffix(name, l.zone) {
		select {
		case <-time.After(l.by):
		case <-ctx.Done():
		}
	}
	return l.Book.Query(ctx, name, qtype)
}
