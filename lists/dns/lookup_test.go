package dns

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/resolve"
)

const (
	listed   = "11.1.1.1"
	unlisted = "11.1.1.2"
)

// good is a zone that lists one address.
func (w *world) good(zone string) *Source {
	w.list(zone, map[string]string{listed: "127.0.0.2"})
	return w.one(zone)
}

func TestLookup(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good("list.example")
		w.want(s, listed, lists.Unloaded) // it does not run yet
		w.run()
		w.want(s, listed, lists.Pending)
		w.want(s, unlisted, lists.Pending)
		synctest.Wait()
		w.want(s, listed, lists.Held)
		w.want(s, unlisted, lists.Absent)
		w.learn(s, "2a00::1", lists.Absent)
		w.list("list.example", map[string]string{"2a00::2": "127.0.0.2"})
		w.learn(s, "2a00::2", lists.Held)
		w.want(s, "::ffff:"+listed, lists.Held)
		for _, q := range []string{"1.1.1.11.list.example A", "2.1.1.11.list.example A",
			"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.2.list.example A"} {
			if n := w.count(q); n != 1 {
				t.Errorf("%s was asked %d times", q, n)
			}
		}
		w.stop()
		w.want(s, listed, lists.Held)
		w.want(s, "11.1.1.3", lists.Unloaded)
		if st := w.zone("list.example"); st.Asked != 4 || st.Answered != 4 || st.Listed != 2 || st.Hits != 4 || st.InFlight != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Everybody waits for the same question, and no longer than they may.
func TestOneFlight(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.do(func() { w.delay = time.Second })
		begin := time.Now()
		type result struct {
			status lists.Status
			took   time.Duration
		}
		results := make(chan result)
		const each = 50
		for i := range 3 * each {
			wait := []time.Duration{300 * time.Millisecond, 2 * time.Second, time.Second + 1}[i%3]
			go func() {
				status := w.within(wait, s, at(listed))
				results <- result{status, time.Since(begin)}
			}()
		}
		got := make(map[result]int)
		for range 3 * each {
			got[<-results]++
		}
		if got[result{lists.Pending, 300 * time.Millisecond}] != each || got[result{lists.Held, time.Second}] != 2*each {
			t.Errorf("%v", got)
		}
		if n := w.count("1.1.1.11.list.example A"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestTTL(t *testing.T) {
	for _, tc := range []struct {
		name          string
		ttl, negative time.Duration
		addr          string
		lives         time.Duration
	}{
		{"its own", 5 * time.Minute, time.Minute, listed, 5 * time.Minute},
		{"of the SOA", 5 * time.Minute, time.Minute, unlisted, time.Minute},
		{"short", time.Second, time.Second, listed, 30 * time.Second},
		{"none", 0, 0, unlisted, 30 * time.Second},
		{"long", 48 * time.Hour, time.Minute, listed, time.Hour},
		{"long, of the SOA", time.Minute, 48 * time.Hour, unlisted, time.Hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, Defaults(), func(w *world) {
				w.ttl, w.negative = tc.ttl, tc.negative
				s := w.good("list.example")
				w.run()
				want := lists.Absent
				if tc.addr == listed {
					want = lists.Held
				}
				w.learn(s, tc.addr, want)
				time.Sleep(tc.lives*9/10 - time.Nanosecond)
				w.want(s, tc.addr, want)
				w.want(s, tc.addr, want)
				if st := w.zone("list.example"); st.Asked != 1 || st.Prefetched != 0 {
					t.Errorf("asked anew: %+v", st)
				}
				time.Sleep(tc.lives/10 + time.Nanosecond)
				w.want(s, tc.addr, lists.Pending)
			})
		})
	}
}

// What is asked for near its end is renewed beside, once, and nobody waits.
func TestPrefetch(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.learn(s, listed, lists.Held)
		for i := range 100 {
			time.Sleep(9*time.Minute + 30*time.Second)
			w.do(func() { w.delay = 100 * time.Millisecond })
			w.want(s, listed, lists.Held)
			w.want(s, listed, lists.Held)
			time.Sleep(200 * time.Millisecond)
			w.want(s, listed, lists.Held)
			if n := w.count("1.1.1.11.list.example A"); n != i+2 {
				t.Fatalf("asked %d times after %d renewals", n, i+1)
			}
		}
		if st := w.zone("list.example"); st.Prefetched != 100 || st.Misses != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// An answer that is too old is asked anew, and counts only if there is no new
// one in time.
func TestStale(t *testing.T) {
	const zone, q = "list.example", "1.1.1.11.list.example A"
	expired := func(t *testing.T, f func(w *world, s *Source)) {
		t.Helper()
		bubble(t, Defaults(), func(w *world) {
			s := w.good(zone)
			w.run()
			w.learn(s, listed, lists.Held)
			time.Sleep(11 * time.Minute)
			f(w, s)
		})
	}
	t.Run("a new answer counts", func(t *testing.T) {
		expired(t, func(w *world, s *Source) {
			w.set(q)
			w.do(func() { w.delay = 100 * time.Millisecond })
			w.want(s, listed, lists.Pending)
			w.learn(s, listed, lists.Absent)
		})
	})
	t.Run("too slow", func(t *testing.T) {
		expired(t, func(w *world, s *Source) {
			w.set(q)
			w.do(func() { w.delay = time.Second })
			w.want(s, listed, lists.Pending) // who does not wait is told so
			w.learn(s, listed, lists.Held)
			time.Sleep(time.Second)
			w.want(s, listed, lists.Absent)
			if st := w.zone(zone); st.Stale != 1 {
				t.Errorf("%+v", st)
			}
		})
	})
	t.Run("a deadline that is over before", func(t *testing.T) {
		expired(t, func(w *world, s *Source) {
			ctx, cancel := context.WithTimeout(context.Background(), 0)
			defer cancel()
			if got := s.Lookup(ctx, at(listed)).Status; got != lists.Held {
				t.Error(word(got))
			}
			synctest.Wait()
			if n := w.count(q); n != 2 {
				t.Errorf("asked %d times", n)
			}
		})
	})
	t.Run("a failure", func(t *testing.T) {
		expired(t, func(w *world, s *Source) {
			w.fail("1.1.1.11."+zone, resolve.ServFail)
			w.learn(s, listed, lists.Held)
			w.want(s, listed, lists.Held) // at once, as long as the failure is remembered
			if n := w.count(q); n != 2 {
				t.Errorf("asked %d times", n)
			}
			time.Sleep(6 * time.Second)
			w.want(s, listed, lists.Pending)
			synctest.Wait()
			if n := w.count(q); n != 3 {
				t.Errorf("asked %d times", n)
			}
			w.mend()
			w.set(q)
			time.Sleep(6 * time.Second)
			w.learn(s, listed, lists.Absent)
		})
	})
	t.Run("the zone goes away meanwhile", func(t *testing.T) {
		expired(t, func(w *world, s *Source) {
			w.do(func() { w.delay = 4 * time.Second })
			w.want(s, listed, lists.Pending)
			synctest.Wait()
			w.do(func() { w.delay = 0 })
			w.fail(bl, resolve.Timeout)
			for i := range failures {
				w.learn(s, fmt.Sprintf("11.2.0.%d", i), lists.Unloaded)
			}
			w.want(s, listed, lists.Held) // at once, and not when that question fails
		})
	})
	t.Run("for a day", func(t *testing.T) {
		expired(t, func(w *world, s *Source) {
			w.fail(zone, resolve.Timeout)
			time.Sleep(10*time.Minute + 23*time.Hour)
			w.want(s, listed, lists.Held) // the zone is away
			w.want(s, unlisted, lists.Unloaded)
			time.Sleep(50 * time.Minute)
			w.want(s, listed, lists.Unloaded)
			if n := w.count(q); n != 1 {
				t.Errorf("asked %d times while it was away", n)
			}
		})
	})
	t.Run("not at all", func(t *testing.T) {
		cfg := Defaults()
		cfg.Stale = 0
		bubble(t, cfg, func(w *world) {
			s := w.good(zone)
			w.run()
			w.learn(s, listed, lists.Held)
			time.Sleep(10 * time.Minute)
			w.fail("1.1.1.11."+zone, resolve.ServFail)
			w.learn(s, listed, lists.Unloaded)
		})
	})
}

// A question that failed is not asked again for each session.
func TestFailureIsRemembered(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.fail("1.1.1.11.list.example", resolve.ServFail)
		w.want(s, listed, lists.Pending)
		synctest.Wait()
		for range 5 {
			w.want(s, listed, lists.Unloaded)
			w.learn(s, listed, lists.Unloaded)
		}
		if n := w.count("1.1.1.11.list.example A"); n != 1 {
			t.Errorf("asked %d times", n)
		}
		w.mend()
		time.Sleep(5 * time.Second)
		w.learn(s, listed, lists.Held)
		if st := w.zone("list.example"); st.Failed["servfail"] != 1 || st.State != "trusted" {
			t.Errorf("%+v", st)
		}
	})
}

// Beyond MaxLookups nobody waits and nothing is asked.
func TestBound(t *testing.T) {
	cfg := Defaults()
	cfg.MaxLookups = 20
	bubble(t, cfg, func(w *world) {
		s := w.good("list.example")
		w.run()
		w.do(func() { w.delay = time.Second; w.most = 0 })
		begin := time.Now()
		for i := range 1000 {
			want := lists.Pending
			if i >= 20 {
				want = lists.Unloaded
			}
			w.want(s, fmt.Sprintf("11.2.%d.%d", i/250, i%250), want)
		}
		for range 100 {
			w.learn(s, "11.3.0.1", lists.Unloaded)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		st := w.State()
		if st.InFlight != 20 || st.Refused != 1080 || st.Zones[0].Refused != 1080 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		w.want(s, "11.2.0.0", lists.Absent)
		w.want(s, "11.2.3.200", lists.Pending)
		time.Sleep(2 * time.Second)
		w.want(s, "11.2.3.200", lists.Absent)
		if w.most != 20 || w.State().InFlight != 0 {
			t.Errorf("%d at once, %+v", w.most, w.State())
		}
		w.log.has(t, "warning more than 20 questions are in flight (max_lookups), or nearly all by zone list.example: clients that are not in memory count as unknown")
	})
}

// A zone that is slow leaves room for the others.
func TestBoundIsShared(t *testing.T) {
	cfg := Defaults()
	cfg.MaxLookups = 20
	bubble(t, cfg, func(w *world) {
		slow, other := w.good("slow.example"), w.good("other.example")
		w.run()
		w.do(func() { w.delay = time.Second })
		for i := range 100 {
			w.now(slow, at(fmt.Sprintf("11.2.0.%d", i)))
		}
		if st := w.State(); st.InFlight != 10 || st.Zones[1].InFlight != 10 {
			t.Errorf("%+v", st)
		}
		w.learn(other, listed, lists.Pending)
		if st := w.State(); st.InFlight != 11 || st.Zones[0].InFlight != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// What may be renewed later does not take the room of what is not known.
func TestPrefetchIsSpared(t *testing.T) {
	cfg := Defaults()
	cfg.MaxLookups = 4
	bubble(t, cfg, func(w *world) {
		s := w.good("list.example")
		w.run()
		w.learn(s, listed, lists.Held)
		time.Sleep(9*time.Minute + 30*time.Second)
		w.do(func() { w.delay = time.Second })
		w.want(s, "11.2.0.1", lists.Pending)
		w.want(s, "11.2.0.2", lists.Pending)
		w.want(s, listed, lists.Held)
		if st := w.State(); st.InFlight != 2 || st.Zones[0].Prefetched != 0 || st.Refused != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestEntriesAreBounded(t *testing.T) {
	for _, entries := range []int{1, 100, 5000} {
		cfg := Defaults()
		cfg.CacheEntries = entries
		bubble(t, cfg, func(w *world) {
			s := w.good("list.example")
			w.run()
			for i := range 3 * entries {
				w.learn(s, fmt.Sprintf("11.%d.%d.%d", 2+i>>16, i>>8&255, i&255), lists.Absent)
			}
			n := w.State().Entries
			if n > entries || n < entries*9/10 {
				t.Errorf("%d entries of %d", n, entries)
			}
		})
	}
}

// Who comes again and again stays in memory, however many others come.
func TestHotEntriesStay(t *testing.T) {
	cfg := Defaults()
	cfg.CacheEntries = 100
	bubble(t, cfg, func(w *world) {
		w.ttl = time.Hour
		s := w.good(bl)
		w.run()
		w.learn(s, listed, lists.Held)
		for i := range 2000 {
			w.learn(s, fmt.Sprintf("11.2.%d.%d", i>>8, i&255), lists.Absent)
			w.want(s, listed, lists.Held)
		}
		if n := w.count("1.1.1.11." + bl + " A"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// Addresses that are no global unicast addresses are on no list.
func TestNeverAsked(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.Source(Spec{Zones: []Zone{{Name: "list.example", Weight: 1}, {Name: "names.example", ByName: true, Weight: 1}}, Threshold: 1})
		w.run()
		w.want(s, "10.0.0.1", lists.Absent)
		w.want(s, "::ffff:10.0.0.1", lists.Absent)
		c := at("192.168.1.1")
		c.Name = "printer.corp.example"
		if got := w.now(s, c); got != lists.Absent {
			t.Error(word(got))
		}
		synctest.Wait()
		if st := w.State(); st.Zones[0].Asked+st.Zones[1].Asked != 0 {
			t.Errorf("asked %v", w.questions())
		}
	})
}

// A question lasts no longer than flightTime, whoever is asked.
func TestFlightEnds(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.do(func() { w.stuck = true })
		w.want(s, listed, lists.Pending)
		time.Sleep(flightTime)
		synctest.Wait()
		w.want(s, listed, lists.Unloaded)
		if st := w.zone("list.example"); st.InFlight != 0 || st.Failed["timeout"] != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// When Run ends so does all that it began, and who waits goes on.
func TestStop(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.do(func() { w.stuck = true })
		begin, got := time.Now(), make(chan lists.Status)
		go func() { got <- w.within(time.Minute, s, at(listed)) }()
		for i := range 2 * failures {
			w.want(s, fmt.Sprintf("11.2.0.%d", i), lists.Pending)
		}
		synctest.Wait()
		w.stop()
		if status, took := <-got, time.Since(begin); status != lists.Unloaded || took != 0 {
			t.Errorf("%s after %v", word(status), took)
		}
		st := w.zone("list.example")
		if st.State != "trusted" || st.InFlight != 0 {
			t.Errorf("%+v", st)
		}
		w.log.has(t)
		w.mend()
		w.run() // again
		w.learn(s, listed, lists.Held)
	})
}

// Run does not return before who was asked has.
func TestStopWaits(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.Service.asker = stubborn{w.book}
		s := w.good(bl)
		w.run()
		w.want(s, listed, lists.Pending)
		synctest.Wait()
		begin := time.Now()
		w.stop()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("it took %v", took)
		}
		w.want(s, listed, lists.Held)
	})
}

// stubborn answers about clients after a second, whatever the context says.
type stubborn struct{ *book }

func (s stubborn) Ask(_ context.Context, name string, qtype uint16) (resolve.Answer, error) {
	if strings.HasSuffix(name, ".11."+bl) {
		time.Sleep(time.Second)
	}
	return s.book.Ask(context.Background(), name, qtype)
}

// A config of nothing is one that works.
func TestConfig(t *testing.T) {
	for _, tc := range []struct{ given, want Config }{
		{Defaults(), Defaults()},
		{Config{}, Config{MaxLookups: 1000, CacheEntries: 100_000, MinTTL: time.Second, MaxTTL: time.Hour}},
		{Config{MaxLookups: -1, CacheEntries: 7, MinTTL: time.Hour, MaxTTL: time.Minute, Stale: -1},
			Config{MaxLookups: 1000, CacheEntries: 7, MinTTL: time.Hour, MaxTTL: time.Hour}},
	} {
		if got := tc.given.usable(); got != tc.want {
			t.Errorf("%+v became %+v", tc.given, got)
		}
	}
}

// A fault in asking is a failed question.
func TestPanic(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.do(func() { w.records["1.1.1.11.list.example A"] = []string{"no address"} }) // where the book panics
		w.learn(s, listed, lists.Unloaded)
		w.learn(s, unlisted, lists.Absent)
	})
}

// An answer after a wait is decided as soon as it can be.
func TestWaitsNoLongerThanItMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Defaults())
		for _, zone := range []string{"slow.example", "quick.example"} {
			w.list(zone, map[string]string{listed: "127.0.0.2"})
		}
		s := w.Source(Spec{Zones: []Zone{{Name: "slow.example", Weight: 1}, {Name: "quick.example", Weight: 1}}, Threshold: 1})
		w.Service.asker = &lagging{w.book, "11.slow.example", time.Second}
		w.run()
		begin := time.Now()
		w.learn(s, listed, lists.Held)
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		w.learn(s, unlisted, lists.Pending)
	})
}

// lagging delays what is asked of a zone.
type lagging struct {
	*book
	zone string
	by   time.Duration
}

func (l *lagging) Ask(ctx context.Context, name string, qtype uint16) (resolve.Answer, error) {
	if strings.HasSuffix(name, l.zone) {
		select {
		case <-time.After(l.by):
		case <-ctx.Done():
		}
	}
	return l.book.Ask(ctx, name, qtype)
}
