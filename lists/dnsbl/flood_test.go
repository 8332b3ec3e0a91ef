package dnsbl

import (
	"context"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// A flood of new clients: nothing grows beyond its bound, whether the server
// answers or not, and all are told something.
func TestFlood(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	const clients = 50_000
	for _, hangs := range []bool{false, true} {
		t.Run(map[bool]string{false: "answered", true: "not answered"}[hangs], func(t *testing.T) {
			rbl := dnstest.StartRbldnsd(t, realEntries)
			cfg := dnscache.Defaults()
			cfg.MaxLookups, cfg.CacheEntries = 500, 5000
			r := newReal(t, cfg, rbl.Upstreams()[0].Addr)
			s := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1, Answer: filter("127.0.0.[2..9]")}}, Threshold: 1})
			r.run()
			r.believed("enabled", "")
			if hangs {
				rbl.Pause(t)
			}
			before := runtime.NumGoroutine()
			var wg sync.WaitGroup
			var mu sync.Mutex
			got := make(map[lists.Status]int)
			const askers = 20
			for a := range askers {
				wg.Go(func() {
					count := make(map[lists.Status]int)
					for i := a; i < clients; i += askers {
						addr := netip.AddrFrom4([4]byte{11, byte(2 + i&1), byte(i >> 9), byte(i >> 1)}) // each other one is listed
						p := s.Lookup(lists.Client{Addr: addr})
						if !hangs && i%10 == 0 {
							ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
							p = listtest.Lookup(ctx, s, lists.Client{Addr: addr})
							cancel()
						}
						if p.Status == lists.Matched && i&1 == 1 || p.Status == lists.NoMatch && i&1 == 0 {
							t.Errorf("%s is %s", addr, word(p.Status))
						}
						count[p.Status]++
					}
					mu.Lock()
					defer mu.Unlock()
					for k, n := range count {
						got[k] += n
					}
				})
			}
			most, entries := 0, 0
			done := make(chan struct{})
			go func() { wg.Wait(); close(done) }()
			for watching := true; watching; {
				select {
				case <-done:
					watching = false
				default:
					st := r.Stats()
					most, entries = max(most, st.InFlight), max(entries, st.Entries)
					if n := runtime.NumGoroutine(); n > before+askers+2*cfg.MaxLookups {
						t.Errorf("%d goroutines", n)
					}
					time.Sleep(time.Millisecond)
				}
			}
			st := r.Stats()
			t.Logf("%v; %d in flight at most, %d refused, %d entries, %d asked", got, most, st.Rejected, entries, st.Zones[0].Queries)
			if most > cfg.MaxLookups || entries > cfg.CacheEntries {
				t.Errorf("%d in flight, %d entries", most, entries)
			}
			if total := got[lists.Matched] + got[lists.NoMatch] + got[lists.Pending] + got[lists.Unavailable]; total != clients {
				t.Errorf("%d answers", total)
			}
			if hangs {
				r.believed("disabled", "")
			}
			r.until("all calls end", func() bool { return r.Stats().InFlight == 0 })
			if hangs {
				rbl.Resume(t)
				r.believed("enabled", "")
			}
			// The zone may have been disabled by timeouts on a busy machine.
			r.until("a client is matched", func() bool { return r.ask(s, at("11.2.200.1")) == lists.Matched })
		})
	}
}
