package dnsbl

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
)

// A zone is not queried about clients before it has passed its health check.
func TestHealthCheck(t *testing.T) {
	for _, tc := range []struct {
		name   string
		byName bool
		set    func(w *world)
		why    string // it is not believed; empty: it is
	}{
		{name: "as it should be", set: func(w *world) { w.SetZone(bl, nil) }},
		{name: "any answer will do", set: func(w *world) { w.Set("2.0.0.127."+bl+" A", "127.3.255.1", "127.255.3.2") }},
		{name: "empty", set: func(w *world) {}, why: "127.0.0.2 is not listed, but has to be (RFC 5782 section 5)"},
		{name: "lists all clients", set: func(w *world) { w.SetZone(bl, nil); w.Set("*."+bl+" A", "127.0.0.2") }, why: "127.0.0.1 is listed (127.0.0.2), so all clients can be"},
		{name: "holds 127.0.0.1", set: func(w *world) { w.SetZone(bl, map[string]string{"127.0.0.1": "127.0.0.4"}) }, why: "127.0.0.1 is listed (127.0.0.4), so all clients can be"},
		{name: "holds what a cache does not know", set: func(w *world) {
			w.SetZone(bl, nil)
			w.Set("*."+bl+" A", "127.0.0.2")
			w.Do(func() { w.Records["1.0.0.127."+bl+" A"] = []string{} })
		}, why: "a made-up address is listed (127.0.0.2), so all clients can be"},
		{name: "says that it is queried through a public resolver", set: func(w *world) { w.Set("*."+bl+" A", "127.255.255.254") },
			why: "answer 127.255.255.254 is an error code: it is queried through a public resolver"},
		{name: "says another error code", set: func(w *world) { w.Set("*."+bl+" A", "127.255.255.1") }, why: "answer 127.255.255.1 is an error code: the query is refused"},
		{name: "is parked", set: func(w *world) { w.Set("*."+bl+" A", "192.0.2.80") },
			why: "answer 192.0.2.80 is not in 127.0.0.0/8: the domain has another owner, or the resolver makes up answers"},
		{name: "has a right answer and a wrong one", set: func(w *world) { w.Set("2.0.0.127."+bl+" A", "127.0.0.2", "192.0.2.80") },
			why: "answer 192.0.2.80 is not in 127.0.0.0/8: the domain has another owner, or the resolver makes up answers"},
		{name: "does not answer", set: func(w *world) { w.SetZone(bl, nil); w.Break(bl, dnsclient.ServFail) }, why: "servfail from 127.0.0.1:53"},
		{name: "does not answer in part", set: func(w *world) { w.SetZone(bl, nil); w.Break("1.0.0.127."+bl, dnsclient.Timeout) }, why: "timeout from 127.0.0.1:53"},

		{name: "names, as it should be", byName: true, set: func(w *world) { w.Set("test."+bl+" A", "127.0.0.2") }},
		{name: "names, for addresses", byName: true, set: func(w *world) { w.SetZone(bl, nil) }, why: "TEST is not listed, but has to be (RFC 5782 section 5)"},
		{name: "names, holds INVALID", byName: true, set: func(w *world) { w.Set("test."+bl+" A", "127.0.0.2"); w.Set("invalid."+bl+" A", "127.0.0.2") },
			why: "INVALID is listed (127.0.0.2), so all clients can be"},
		{name: "names, holds everything", byName: true, set: func(w *world) {
			w.Set("*."+bl+" A", "127.0.0.2")
			w.Do(func() { w.Records["invalid."+bl+" A"] = []string{} })
		}, why: "a made-up name is listed (127.0.0.2), so all clients can be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, dnscache.Defaults(), func(w *world) {
				tc.set(w)
				s := w.List(Spec{Zones: []Zone{{Domain: NewDomain(bl, ""), Weight: 1, ByName: tc.byName}}, Threshold: 1})
				w.run()
				if tc.why == "" {
					w.state("enabled", "")
					w.events.Expect(t)
					return
				}
				w.state("disabled", tc.why)
				w.events.Expect(t, "disabled list.example: "+tc.why)
				asked := len(w.Queries())
				c := at(unlisted)
				c.Name = "mail.example"
				if got := w.now(s, c); got != lists.Unavailable || len(w.Queries()) != asked {
					t.Errorf("%s, asked %v", word(got), w.Queries())
				}
			})
		})
	}
}

// The first client after a start waits for the health check, too.
func TestFirstClient(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.Delay = 100 * time.Millisecond
		w.begin()
		synctest.Wait()
		begin := time.Now()
		w.want(s, listed, lists.Pending)
		if n := w.Count("1.1.1.11." + bl + " A"); n != 0 {
			t.Error("a client was asked about before the zone was tested")
		}
		w.learn(s, listed, lists.Matched)
		if took := time.Since(begin); took != 200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("it fails", func(t *testing.T) {
		bubble(t, dnscache.Defaults(), func(w *world) {
			s := w.good(bl)
			w.Break(bl, dnsclient.ServFail)
			w.Delay = 100 * time.Millisecond
			w.begin()
			synctest.Wait()
			w.learn(s, listed, lists.Unavailable)
			w.want(s, listed, lists.Unavailable)
		})
	})
	t.Run("it is too slow", func(t *testing.T) {
		bubble(t, dnscache.Defaults(), func(w *world) {
			s := w.good(bl)
			w.Delay = time.Second
			w.begin()
			synctest.Wait()
			w.learn(s, listed, lists.Pending)
		})
	})
	t.Run("it never ends", func(t *testing.T) {
		bubble(t, dnscache.Defaults(), func(w *world) {
			s := w.good(bl)
			w.Stuck = true
			stop := w.begin()
			synctest.Wait()
			got := make(chan lists.Status)
			go func() { got <- w.within(time.Minute, s, at(listed)) }()
			synctest.Wait()
			stop()
			if status := <-got; status != lists.Unavailable {
				t.Error(word(status))
			}
			w.state("unchecked", "")
		})
	})
}

// Within a minute, whenever it happens.
func TestWildcardIsFoundInAMinute(t *testing.T) {
	for wait := 30 * time.Second; wait < 60*time.Second; wait += 3 * time.Second {
		bubble(t, dnscache.Defaults(), func(w *world) {
			w.good(bl)
			w.run()
			time.Sleep(wait)
			w.Set("*."+bl+" A", "127.0.0.2")
			time.Sleep(time.Minute)
			if st := w.zone(bl); st.State != "disabled" {
				t.Errorf("%+v", st)
			}
		})
	}
}

// If many clients are listed all at once the zone is checked at once.
func TestManyListings(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		time.Sleep(10 * time.Second)
		w.Set("*."+bl+" A", "127.0.0.2")
		for i := range 7 {
			w.state("enabled", "")
			w.learn(s, fmt.Sprintf("11.2.0.%d", i), lists.Matched)
		}
		w.within(300*time.Millisecond, s, at("11.2.0.7")) // the test may end before this answer is used
		synctest.Wait()
		w.state("disabled", "127.0.0.1 is listed")
	})
	for name, share := range map[string]int{"nearly all, as ever": 95, "a quarter, as ever": 25} {
		t.Run(name, func(t *testing.T) {
			bubble(t, dnscache.Defaults(), func(w *world) {
				s := w.good(bl)
				w.run()
				for i := range 10 * 600 { // ten minutes
					addr := netip.AddrFrom4([4]byte{11, 2, byte(i >> 8), byte(i)})
					want := lists.NoMatch
					if i*37%100 < share {
						want = lists.Matched
						w.Set(dnsclient.ReverseAddr(addr)+"."+bl+" A", "127.0.0.2")
					}
					w.learn(s, addr.String(), want)
					time.Sleep(100 * time.Millisecond)
				}
				if n := w.zone(bl).HealthChecks; n < 18 || n > 24 {
					t.Errorf("%d tests in ten minutes", n)
				}
			})
		})
	}
}

// A zone that lists all IPv6 addresses is not queried, and what it said since its last good check is dropped.
func TestIPv6IsTested(t *testing.T) {
	const test6 = "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0." + bl
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.learn(s, "2a00::1", lists.NoMatch)
		time.Sleep(40 * time.Second)
		w.Set("*.a.2."+bl+" A", "127.0.0.2")
		w.Set(test6+" A", "127.0.0.2")
		w.learn(s, "2a00::2", lists.Matched)
		time.Sleep(40 * time.Second)
		w.want(s, "2a00::2", lists.Unavailable)
		w.want(s, "2a00::1", lists.NoMatch)
		if st := w.zone(bl); st.State != "disabled" || !strings.Contains(st.Error, "::FFFF:7F00:1 is listed") {
			t.Errorf("%+v", st)
		}
		w.Mend()
		w.Set(test6 + " A")
		time.Sleep(40 * time.Second)
		w.learn(s, "2a00::2", lists.Matched)
	})
	t.Run("servers that know no IPv6", func(t *testing.T) {
		bubble(t, dnscache.Defaults(), func(w *world) {
			s := w.good(bl)
			w.Break(test6, dnsclient.ServFail)
			w.run()
			w.learn(s, listed, lists.Matched)
			w.state("enabled", "")
		})
	})
}

// A zone without test entries is used until it fails.
func TestUntested(t *testing.T) {
	for _, byName := range []bool{false, true} {
		bubble(t, dnscache.Defaults(), func(w *world) {
			s := w.List(Spec{Zones: []Zone{{Domain: NewDomain(bl, ""), Weight: 1, NoHealthCheck: true, ByName: byName}}, Threshold: 1})
			w.Set("1.1.1.11."+bl+" A", "127.0.0.2")
			w.Set("mail.good.example."+bl+" A", "127.0.0.2")
			w.run()
			c := at(listed)
			c.Name = "mail.good.example"
			if got := w.within(time.Second, s, c); got != lists.Matched {
				t.Error(word(got))
			}
			time.Sleep(10 * time.Minute)
			if st := w.zone(bl); st.State != "enabled" || st.HealthChecks != 0 || !st.NoHealthCheck || st.ByName != byName {
				t.Errorf("%+v", st)
			}
			w.Break(bl, dnsclient.Timeout)
			for i := range breaker.MaxFailures {
				w.within(time.Second, s, lists.Client{Addr: at(fmt.Sprintf("11.2.0.%d", i)).Addr, Name: fmt.Sprintf("m%d.example", i)})
			}
			w.state("disabled", "5 queries in a row")
			time.Sleep(time.Minute)
			w.state("disabled", "timeout")
			w.Mend()
			w.Set("*."+bl+" A", "192.0.2.1")
			time.Sleep(5 * time.Minute)
			w.state("disabled", "answer 192.0.2.1")
			w.Set("*." + bl + " A")
			time.Sleep(10 * time.Minute)
			w.state("enabled", "")
			probe := map[bool]string{false: "1.0.0.127.", true: "invalid."}[byName]
			if w.Count(probe+bl+" A") < 2 || w.Count("2.0.0.127."+bl+" A") != 0 {
				t.Errorf("asked %v", w.Queries())
			}
		})
	}
}
