package dnsbl

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/listtest"
)

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
			bubble(t, dnscache.Defaults(), func(w *world) {
				w.TTL, w.Negative = tc.ttl, tc.negative
				s := w.good("list.example")
				w.run()
				want := lists.NoMatch
				if tc.addr == listed {
					want = lists.Matched
				}
				w.learn(s, tc.addr, want)
				time.Sleep(tc.lives*9/10 - time.Nanosecond)
				w.want(s, tc.addr, want)
				w.want(s, tc.addr, want)
				if st := w.zone("list.example"); st.Queries != 1 || st.Prefetched != 0 {
					t.Errorf("asked anew: %+v", st)
				}
				time.Sleep(tc.lives/10 + time.Nanosecond)
				w.want(s, tc.addr, lists.Pending)
			})
		})
	}
}

// An answer that is used near its end is renewed in the background, once, and no client waits.
func TestPrefetch(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.learn(s, listed, lists.Matched)
		for i := range 100 {
			time.Sleep(9*time.Minute + 30*time.Second)
			w.Do(func() { w.Delay = 100 * time.Millisecond })
			w.want(s, listed, lists.Matched)
			w.want(s, listed, lists.Matched)
			time.Sleep(200 * time.Millisecond)
			w.want(s, listed, lists.Matched)
			if n := w.Count("1.1.1.11.list.example A"); n != i+2 {
				t.Fatalf("asked %d times after %d renewals", n, i+1)
			}
		}
		if st := w.zone("list.example"); st.Prefetched != 100 || st.Misses != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// An expired answer is queried again, and counts only if there is no fresh one in time.
func TestStale(t *testing.T) {
	const zone, q = "list.example", "1.1.1.11.list.example A"
	expired := func(t *testing.T, f func(w *world, s *List)) {
		t.Helper()
		bubble(t, dnscache.Defaults(), func(w *world) {
			s := w.good(zone)
			w.run()
			w.learn(s, listed, lists.Matched)
			time.Sleep(11 * time.Minute)
			f(w, s)
		})
	}
	t.Run("a new answer counts", func(t *testing.T) {
		expired(t, func(w *world, s *List) {
			w.Set(q)
			w.Do(func() { w.Delay = 100 * time.Millisecond })
			w.want(s, listed, lists.Pending)
			w.learn(s, listed, lists.NoMatch)
		})
	})
	t.Run("too slow", func(t *testing.T) {
		expired(t, func(w *world, s *List) {
			w.Set(q)
			w.Do(func() { w.Delay = time.Second })
			w.want(s, listed, lists.Pending) // without a wait it is pending
			w.learn(s, listed, lists.Matched)
			time.Sleep(time.Second)
			w.want(s, listed, lists.NoMatch)
			if st := w.zone(zone); st.Stale != 1 {
				t.Errorf("%+v", st)
			}
		})
	})
	t.Run("a deadline that is over before", func(t *testing.T) {
		expired(t, func(w *world, s *List) {
			ctx, cancel := context.WithTimeout(context.Background(), 0)
			defer cancel()
			if got := listtest.Lookup(ctx, s, at(listed)).Status; got != lists.Matched {
				t.Error(word(got))
			}
			synctest.Wait()
			if n := w.Count(q); n != 2 {
				t.Errorf("asked %d times", n)
			}
		})
	})
	t.Run("a failure", func(t *testing.T) {
		expired(t, func(w *world, s *List) {
			w.Break("1.1.1.11."+zone, dnsclient.ServFail)
			w.learn(s, listed, lists.Matched)
			w.want(s, listed, lists.Matched) // at once, as long as the failure is remembered
			if n := w.Count(q); n != 2 {
				t.Errorf("asked %d times", n)
			}
			time.Sleep(6 * time.Second)
			w.want(s, listed, lists.Pending)
			synctest.Wait()
			if n := w.Count(q); n != 3 {
				t.Errorf("asked %d times", n)
			}
			w.Mend()
			w.Set(q)
			time.Sleep(6 * time.Second)
			w.learn(s, listed, lists.NoMatch)
		})
	})
	t.Run("the zone goes away meanwhile", func(t *testing.T) {
		expired(t, func(w *world, s *List) {
			w.Do(func() { w.Delay = 4 * time.Second })
			w.want(s, listed, lists.Pending)
			synctest.Wait()
			w.Do(func() { w.Delay = 0 })
			w.Break(bl, dnsclient.Timeout)
			for i := range breaker.MaxFailures {
				w.learn(s, fmt.Sprintf("11.2.0.%d", i), lists.Unavailable)
			}
			w.want(s, listed, lists.Matched) // at once, and not when that question fails
		})
	})
	t.Run("for a day", func(t *testing.T) {
		expired(t, func(w *world, s *List) {
			w.Break(zone, dnsclient.Timeout)
			time.Sleep(10*time.Minute + 23*time.Hour)
			w.want(s, listed, lists.Matched) // the zone is away
			w.want(s, unlisted, lists.Unavailable)
			time.Sleep(50 * time.Minute)
			w.want(s, listed, lists.Unavailable)
			if n := w.Count(q); n != 1 {
				t.Errorf("asked %d times while it was away", n)
			}
		})
	})
	t.Run("not at all", func(t *testing.T) {
		cfg := dnscache.Defaults()
		cfg.Stale = 0
		bubble(t, cfg, func(w *world) {
			s := w.good(zone)
			w.run()
			w.learn(s, listed, lists.Matched)
			time.Sleep(10 * time.Minute)
			w.Break("1.1.1.11."+zone, dnsclient.ServFail)
			w.learn(s, listed, lists.Unavailable)
		})
	})
}
