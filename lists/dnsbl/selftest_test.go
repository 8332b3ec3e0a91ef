package dnsbl

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

// A zone is not asked about clients before it has passed its self-test.
func TestSelfTest(t *testing.T) {
	for _, tc := range []struct {
		name   string
		byName bool
		set    func(w *world)
		why    string // it is not believed; empty: it is
	}{
		{name: "as it should be", set: func(w *world) { w.list(bl, nil) }},
		{name: "any answer will do", set: func(w *world) { w.set("2.0.0.127."+bl+" A", "127.3.255.1", "127.255.3.2") }},
		{name: "empty", set: func(w *world) {}, why: "127.0.0.2 is not listed, which has to be (RFC 5782 section 5)"},
		{name: "holds everybody", set: func(w *world) { w.list(bl, nil); w.set("*."+bl+" A", "127.0.0.2") }, why: "127.0.0.1 is listed (127.0.0.2), so everything may be"},
		{name: "holds 127.0.0.1", set: func(w *world) { w.list(bl, map[string]string{"127.0.0.1": "127.0.0.4"}) }, why: "127.0.0.1 is listed (127.0.0.4), so everything may be"},
		{name: "holds what a cache does not know", set: func(w *world) {
			w.list(bl, nil)
			w.set("*."+bl+" A", "127.0.0.2")
			w.do(func() { w.records["1.0.0.127."+bl+" A"] = []string{} })
		}, why: "a made-up address is listed (127.0.0.2), so everything may be"},
		{name: "says that it is asked through a public resolver", set: func(w *world) { w.set("*."+bl+" A", "127.255.255.254") },
			why: "it answers 127.255.255.254, which is an error code: it is asked through a public resolver"},
		{name: "says another error code", set: func(w *world) { w.set("*."+bl+" A", "127.255.255.1") }, why: "it answers 127.255.255.1, which is an error code"},
		{name: "is parked", set: func(w *world) { w.set("*."+bl+" A", "192.0.2.80") },
			why: "it answers 192.0.2.80, which is not in 127.0.0.0/8: the domain or the resolver is not what it was"},
		{name: "has a right answer and a wrong one", set: func(w *world) { w.set("2.0.0.127."+bl+" A", "127.0.0.2", "192.0.2.80") },
			why: "it answers 192.0.2.80, which is not in 127.0.0.0/8: the domain or the resolver is not what it was"},
		{name: "does not answer", set: func(w *world) { w.list(bl, nil); w.fail(bl, dnsclient.ServFail) }, why: "servfail from 127.0.0.1:53"},
		{name: "does not answer in part", set: func(w *world) { w.list(bl, nil); w.fail("1.0.0.127."+bl, dnsclient.Timeout) }, why: "timeout from 127.0.0.1:53"},

		{name: "names, as it should be", byName: true, set: func(w *world) { w.set("test."+bl+" A", "127.0.0.2") }},
		{name: "names, for addresses", byName: true, set: func(w *world) { w.list(bl, nil) }, why: "TEST is not listed, which has to be (RFC 5782 section 5)"},
		{name: "names, holds INVALID", byName: true, set: func(w *world) { w.set("test."+bl+" A", "127.0.0.2"); w.set("invalid."+bl+" A", "127.0.0.2") },
			why: "INVALID is listed (127.0.0.2), so everything may be"},
		{name: "names, holds everything", byName: true, set: func(w *world) {
			w.set("*."+bl+" A", "127.0.0.2")
			w.do(func() { w.records["invalid."+bl+" A"] = []string{} })
		}, why: "a made-up name is listed (127.0.0.2), so everything may be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, Defaults(), func(w *world) {
				tc.set(w)
				s := w.List(Spec{Zones: []Zone{{Name: bl, Weight: 1, ByName: tc.byName}}, Threshold: 1})
				w.run()
				if tc.why == "" {
					w.state("closed", "")
					w.log.has(t)
					return
				}
				w.state("open", tc.why)
				w.log.has(t, "warning zone list.example is not asked until it passes a test: "+tc.why+"; clients count as unknown")
				asked := len(w.questions())
				c := at(unlisted)
				c.Name = "mail.example"
				if got := w.now(s, c); got != lists.Unavailable || len(w.questions()) != asked {
					t.Errorf("%s, asked %v", word(got), w.questions())
				}
			})
		})
	}
}

// The first client after a start waits for the self-test, too.
func TestFirstClient(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.delay = 100 * time.Millisecond
		w.begin()
		synctest.Wait()
		begin := time.Now()
		w.want(s, listed, lists.Pending)
		if n := w.count("1.1.1.11." + bl + " A"); n != 0 {
			t.Error("a client was asked about before the zone was tested")
		}
		w.learn(s, listed, lists.Matched)
		if took := time.Since(begin); took != 200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("it fails", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			s := w.good(bl)
			w.fail(bl, dnsclient.ServFail)
			w.delay = 100 * time.Millisecond
			w.begin()
			synctest.Wait()
			w.learn(s, listed, lists.Unavailable)
			w.want(s, listed, lists.Unavailable)
		})
	})
	t.Run("it is too slow", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			s := w.good(bl)
			w.delay = time.Second
			w.begin()
			synctest.Wait()
			w.learn(s, listed, lists.Pending)
		})
	})
	t.Run("it never ends", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			s := w.good(bl)
			w.stuck = true
			stop := w.begin()
			synctest.Wait()
			got := make(chan lists.Status)
			go func() { got <- w.within(time.Minute, s, at(listed)) }()
			synctest.Wait()
			stop()
			if status := <-got; status != lists.Unavailable {
				t.Error(word(status))
			}
			w.state("half-open", "")
		})
	})
}

// Within a minute, whenever it happens.
func TestWildcardIsFoundInAMinute(t *testing.T) {
	for wait := 30 * time.Second; wait < 60*time.Second; wait += 3 * time.Second {
		bubble(t, Defaults(), func(w *world) {
			w.good(bl)
			w.run()
			time.Sleep(wait)
			w.set("*."+bl+" A", "127.0.0.2")
			time.Sleep(time.Minute)
			if st := w.zone(bl); st.State != "open" {
				t.Errorf("%+v", st)
			}
		})
	}
}

// If everybody is listed all at once the zone is tested at once.
func TestManyListings(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		time.Sleep(10 * time.Second)
		w.set("*."+bl+" A", "127.0.0.2")
		for i := range 7 {
			w.state("closed", "")
			w.learn(s, fmt.Sprintf("11.2.0.%d", i), lists.Matched)
		}
		w.within(300*time.Millisecond, s, at("11.2.0.7")) // the test may end before this answer is used
		synctest.Wait()
		w.state("open", "127.0.0.1 is listed")
	})
	for name, share := range map[string]int{"nearly all, as ever": 95, "a quarter, as ever": 25} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Defaults(), func(w *world) {
				s := w.good(bl)
				w.run()
				for i := range 10 * 600 { // ten minutes
					addr := netip.AddrFrom4([4]byte{11, 2, byte(i >> 8), byte(i)})
					want := lists.NoMatch
					if i*37%100 < share {
						want = lists.Matched
						w.set(reverse(addr)+"."+bl+" A", "127.0.0.2")
					}
					w.learn(s, addr.String(), want)
					time.Sleep(100 * time.Millisecond)
				}
				if n := w.zone(bl).Tests; n < 18 || n > 24 {
					t.Errorf("%d tests in ten minutes", n)
				}
			})
		})
	}
}

// A zone that holds every IPv6 address is asked about IPv4 only.
func TestIPv6IsTested(t *testing.T) {
	const test6 = "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0." + bl
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.learn(s, "2a00::1", lists.NoMatch)
		time.Sleep(40 * time.Second)
		w.set("*.a.2."+bl+" A", "127.0.0.2")
		w.set(test6+" A", "127.0.0.2")
		w.learn(s, "2a00::2", lists.Matched)
		w.learn(s, "11.2.0.1", lists.NoMatch)
		time.Sleep(40 * time.Second)
		w.want(s, "2a00::2", lists.Unavailable)
		w.want(s, "2a00::1", lists.NoMatch)
		w.want(s, "11.2.0.1", lists.NoMatch)
		w.learn(s, listed, lists.Matched)
		if st := w.zone(bl); st.State != "closed" || st.IPv6 != "open" || !strings.Contains(st.Error6, "::FFFF:7F00:1 is listed") {
			t.Errorf("%+v", st)
		}
		w.fail(test6, dnsclient.ServFail) // which shows nothing
		time.Sleep(40 * time.Second)
		if st := w.zone(bl); st.State != "closed" || st.IPv6 != "open" {
			t.Errorf("%+v", st)
		}
		w.mend()
		w.set(test6 + " A")
		time.Sleep(40 * time.Second)
		w.learn(s, "2a00::2", lists.Matched)
		w.log.has(t, "warning zone list.example is not asked about IPv6 addresses: ::FFFF:7F00:1 is listed (127.0.0.2), so everything may be; such clients count as unknown",
			"info zone list.example is asked about IPv6 addresses again")
	})
	t.Run("before it is known", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			s := w.good(bl)
			w.fail(test6, dnsclient.ServFail)
			w.run()
			w.learn(s, "2a00::1", lists.Unavailable)
			w.learn(s, listed, lists.Matched)
			if st := w.zone(bl); st.IPv6 != "half-open" {
				t.Errorf("%+v", st)
			}
		})
	})
}

// A zone without test entries is believed until it fails.
func TestUntested(t *testing.T) {
	for _, byName := range []bool{false, true} {
		bubble(t, Defaults(), func(w *world) {
			s := w.List(Spec{Zones: []Zone{{Name: bl, Weight: 1, NoHealthCheck: true, ByName: byName}}, Threshold: 1})
			w.set("1.1.1.11."+bl+" A", "127.0.0.2")
			w.set("mail.good.example."+bl+" A", "127.0.0.2")
			w.run()
			c := at(listed)
			c.Name = "mail.good.example"
			if got := w.within(time.Second, s, c); got != lists.Matched {
				t.Error(word(got))
			}
			time.Sleep(10 * time.Minute)
			if st := w.zone(bl); st.State != "closed" || st.Tests != 0 || !st.NoHealthCheck || st.ByName != byName {
				t.Errorf("%+v", st)
			}
			w.fail(bl, dnsclient.Timeout)
			for i := range failures {
				w.within(time.Second, s, lists.Client{Addr: at(fmt.Sprintf("11.2.0.%d", i)).Addr, Name: fmt.Sprintf("m%d.example", i)})
			}
			w.state("open", "5 questions in a row")
			time.Sleep(time.Minute)
			w.state("open", "timeout")
			w.mend()
			w.set("*."+bl+" A", "192.0.2.1")
			time.Sleep(5 * time.Minute)
			w.state("open", "it answers 192.0.2.1")
			w.set("*." + bl + " A")
			time.Sleep(10 * time.Minute)
			w.state("closed", "")
			probe := map[bool]string{false: "1.0.0.127.", true: "invalid."}[byName]
			if w.count(probe+bl+" A") < 2 || w.count("2.0.0.127."+bl+" A") != 0 {
				t.Errorf("asked %v", w.questions())
			}
		})
	}
}
