package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/resolve"
)

const bl = "list.example"

// state says what the zone is, and why.
func (w *world) state(state, why string) {
	w.Helper()
	if st := w.zone(bl); st.State != state || !strings.Contains(st.Error, why) || (why == "") != (st.Error == "") {
		w.Errorf("%s is %s (%s), want %s (%s)", bl, st.State, st.Error, state, why)
	}
}

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
		}, why: "a made-up name is listed (127.0.0.2), so everything may be"},
		{name: "says that it is asked through a public resolver", set: func(w *world) { w.set("*."+bl+" A", "127.255.255.254") },
			why: "it answers 127.255.255.254, which is an error code: it is asked through a public resolver"},
		{name: "says another error code", set: func(w *world) { w.set("*."+bl+" A", "127.255.255.1") }, why: "it answers 127.255.255.1, which is an error code"},
		{name: "is parked", set: func(w *world) { w.set("*."+bl+" A", "192.0.2.80") },
			why: "it answers 192.0.2.80, which is not in 127.0.0.0/8: the domain or the resolver is not what it was"},
		{name: "has a right answer and a wrong one", set: func(w *world) { w.set("2.0.0.127."+bl+" A", "127.0.0.2", "192.0.2.80") },
			why: "it answers 192.0.2.80, which is not in 127.0.0.0/8: the domain or the resolver is not what it was"},
		{name: "does not answer", set: func(w *world) { w.list(bl, nil); w.fail(bl, resolve.ServFail) }, why: "servfail from 127.0.0.1:53"},
		{name: "does not answer in part", set: func(w *world) { w.list(bl, nil); w.fail("1.0.0.127."+bl, resolve.Timeout) }, why: "timeout from 127.0.0.1:53"},

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
				s := w.Source(Spec{Zones: []Zone{{Name: bl, Weight: 1, ByName: tc.byName}}, Threshold: 1})
				w.run()
				if tc.why == "" {
					w.state("trusted", "")
					w.log.has(t)
					return
				}
				w.state("open", tc.why)
				w.log.has(t, "warning zone list.example is not asked until it passes a test: "+tc.why+"; clients count as unknown")
				asked := len(w.questions())
				c := at(unlisted)
				c.Name = "mail.example"
				if got := w.now(s, c); got != lists.Unloaded || len(w.questions()) != asked {
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
		w.learn(s, listed, lists.Held)
		if took := time.Since(begin); took != 200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("it fails", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			s := w.good(bl)
			w.fail(bl, resolve.ServFail)
			w.delay = 100 * time.Millisecond
			w.begin()
			synctest.Wait()
			w.learn(s, listed, lists.Unloaded)
			w.want(s, listed, lists.Unloaded)
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
			if status := <-got; status != lists.Unloaded {
				t.Error(word(status))
			}
			w.state("untested", "")
		})
	})
}

// Some failures in a row open the breaker; then no client is asked about until
// a test is passed, with ever longer pauses between tests.
func TestBreaker(t *testing.T) {
	for kind := resolve.Unreachable; kind <= resolve.Malformed; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			bubble(t, Defaults(), func(w *world) {
				s := w.good(bl)
				w.run()
				time.Sleep(2 * time.Minute)
				w.learn(s, listed, lists.Held)
				w.fail(bl, kind)
				for i := range failures {
					w.state("trusted", w.zone(bl).Error)
					w.learn(s, fmt.Sprintf("11.2.0.%d", i), lists.Unloaded)
				}
				w.state("open", "5 questions in a row failed, the last with "+kind.String()+" from 127.0.0.1:53")
				w.log.has(t, "warning zone list.example is not asked until it passes a test: 5 questions in a row failed, the last with "+
					kind.String()+" from 127.0.0.1:53; answers from before are used for up to 24h0m0s, clients without one count as unknown")
				asked, tests := w.zone(bl).Asked, w.zone(bl).Tests
				w.want(s, "11.2.1.1", lists.Unloaded)
				w.want(s, listed, lists.Held)
				var pauses []time.Duration
				last := time.Now()
				for time.Since(last) < 6*time.Minute && len(pauses) < 12 {
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
					if n := w.zone(bl).Tests; n != tests {
						pauses = append(pauses, time.Since(last))
						tests, last = n, time.Now()
					}
				}
				for i, pause := range pauses {
					want := min(time.Second<<i, 5*time.Minute)
					if pause < want*9/10 || pause > want*11/10+100*time.Millisecond {
						t.Errorf("pauses are %v", pauses)
						break
					}
				}
				if len(pauses) != 12 || w.zone(bl).Asked != asked {
					t.Errorf("%d tests, %d questions about clients", len(pauses), w.zone(bl).Asked-asked)
				}
				w.mend()
				time.Sleep(6 * time.Minute)
				w.state("trusted", "")
				w.learn(s, "11.2.1.1", lists.Absent)
				if got := w.log.get(); len(got) != 1 || !strings.HasPrefix(got[0], "info zone list.example is asked again, after ") {
					t.Errorf("logged %q", got)
				}
				if st := w.zone(bl); st.Opened != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// Failures that come between answers do not open it.
func TestBreakerCountsInARow(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		for i := range 50 {
			w.mend()
			if i%failures == 0 {
				w.learn(s, fmt.Sprintf("11.3.0.%d", i), lists.Absent)
			} else {
				w.fail(bl, resolve.Timeout)
				w.learn(s, fmt.Sprintf("11.3.0.%d", i), lists.Unloaded)
			}
		}
		if st := w.zone(bl); st.State != "trusted" || st.Opened != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// Who was well for long is tested again soon, and may fail as often as before.
func TestBreakerForgets(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		for round := range 3 {
			time.Sleep(2 * time.Minute)
			w.fail(bl, resolve.Timeout)
			for i := range failures {
				w.state("trusted", w.zone(bl).Error)
				w.learn(s, fmt.Sprintf("11.2.%d.%d", round, i), lists.Unloaded)
			}
			w.state("open", "5 questions in a row")
			tests := w.zone(bl).Tests
			time.Sleep(1200 * time.Millisecond)
			if n := w.zone(bl).Tests; n != tests+1 {
				t.Errorf("round %d: %d tests in the first second", round, n-tests)
			}
			time.Sleep(time.Minute)
			w.mend()
			time.Sleep(2 * time.Minute)
			w.state("trusted", "")
		}
	})
}

// Failures of what was asked before it was opened do not open it again, and
// whatever goes to and fro is tested less and less often.
func TestBreakerFlaps(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.fail(bl, resolve.Timeout)
		w.do(func() { w.delay = 4 * time.Second })
		for i := range failures {
			w.now(s, at(fmt.Sprintf("11.2.0.%d", i)))
		}
		time.Sleep(3900 * time.Millisecond)
		for i := range failures {
			w.now(s, at(fmt.Sprintf("11.2.1.%d", i)))
		}
		time.Sleep(200 * time.Millisecond) // the first have failed
		w.state("open", "5 questions in a row")
		w.do(func() { w.delay = 0; w.failing = map[string]resolve.Kind{"1.2.11." + bl: resolve.Timeout} })
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		w.state("trusted", "")
		time.Sleep(4 * time.Second) // the others, too
		w.state("trusted", "")

		// The zone passes its tests, but does not answer about clients.
		w.fail("11."+bl, resolve.ServFail)
		opened := w.zone(bl).Opened
		for i := range 10 * 600 {
			time.Sleep(100 * time.Millisecond)
			w.now(s, at(fmt.Sprintf("11.%d.%d.1", 4+i>>8, i&255)))
			synctest.Wait()
		}
		if n := w.zone(bl).Opened - opened; n < 5 || n > 12 {
			t.Errorf("opened %d times in ten minutes", n)
		}
	})
}

// What a zone says is void from the last test on that it passed.
func TestLies(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s, other := w.good(bl), w.good("other.example")
		w.run()
		w.learn(s, listed, lists.Held)
		w.learn(s, unlisted, lists.Absent)
		time.Sleep(40 * time.Second) // a test is passed meanwhile
		if n := w.zone(bl).Tests; n != 2 {
			t.Fatalf("%d tests", n)
		}
		w.set("*."+bl+" A", "127.0.0.2")
		w.learn(s, "11.2.0.1", lists.Held) // nobody can know yet
		w.learn(s, "2a00::1", lists.Held)
		w.learn(other, "11.2.0.1", lists.Absent)
		time.Sleep(40 * time.Second)
		w.want(other, "11.2.0.1", lists.Absent)
		w.state("open", "127.0.0.1 is listed (127.0.0.2)")
		w.want(s, "11.2.0.1", lists.Unloaded)
		w.want(s, "2a00::1", lists.Unloaded)
		w.want(s, listed, lists.Held)
		w.want(s, unlisted, lists.Absent)
		w.set("*." + bl + " A")
		time.Sleep(5 * time.Minute)
		w.state("trusted", "")
		w.learn(s, "11.2.0.1", lists.Absent)

		w.set("*."+bl+" A", "127.0.0.2") // again
		w.learn(s, "11.2.0.2", lists.Held)
		time.Sleep(40 * time.Second)
		w.want(s, "11.2.0.2", lists.Unloaded)
	})
	t.Run("in flight", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			w.Service.asker = &lagging{w.book, "11." + bl, 4900 * time.Millisecond}
			s := w.good(bl)
			w.run()
			w.set("*."+bl+" A", "127.0.0.2")
			asked := 0
			for ; w.zone(bl).State == "trusted"; asked++ {
				w.want(s, fmt.Sprintf("11.2.0.%d", asked), lists.Pending)
				time.Sleep(time.Second)
			}
			w.state("open", "127.0.0.1 is listed (127.0.0.2)")
			time.Sleep(5 * time.Second) // the last ones are answered now
			if st := w.State(); st.Entries != 0 || st.InFlight != 0 || st.Zones[0].Answered != uint64(asked) {
				t.Errorf("%+v", st)
			}
			w.want(s, fmt.Sprintf("11.2.0.%d", asked-1), lists.Unloaded)
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
		for i := range 8 {
			w.state("trusted", "")
			w.learn(s, fmt.Sprintf("11.2.0.%d", i), lists.Held)
		}
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
					want := lists.Absent
					if i*37%100 < share {
						want = lists.Held
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

// An answer that no list gives is believed of nobody, and shows at once that
// something is wrong. What was said before still counts.
func TestFaultyAnswer(t *testing.T) {
	for answer, why := range map[string]string{
		"127.255.255.254":           "it answers 127.255.255.254, which is an error code: it is asked through a public resolver",
		"127.255.255.255":           "it answers 127.255.255.255, which is an error code: it is asked too often",
		"192.0.2.1":                 "it answers 192.0.2.1, which is not in",
		"127.0.0.2 127.255.255.252": "it answers 127.255.255.252, which is an error code: the name of the zone is misspelt",
		"127.0.0.2 0.0.0.0":         "it answers 0.0.0.0, which is not in",
	} {
		t.Run(answer, func(t *testing.T) {
			bubble(t, Defaults(), func(w *world) {
				s := w.good(bl)
				w.run()
				w.learn(s, listed, lists.Held)
				w.set("9.0.2.11."+bl+" A", strings.Fields(answer)...)
				w.learn(s, "11.2.0.9", lists.Unloaded)
				w.state("open", why)
				w.want(s, listed, lists.Held)
				w.want(s, unlisted, lists.Unloaded)
				if n := len(w.log.get()); n != 1 {
					t.Errorf("%d lines", n)
				}
				time.Sleep(2 * time.Second)
				w.state("trusted", "")
				if st := w.zone(bl); st.Failed["not-believed"] != 1 || st.Asked != 2 || st.Answered != 2 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestTooManyAnswers(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		var many []string
		for i := range maxAnswers {
			many = append(many, fmt.Sprintf("127.0.1.%d", i))
		}
		w.set("1.0.2.11."+bl+" A", many...)
		w.set("2.0.2.11."+bl+" A", append(many, many...)...)
		w.set("3.0.2.11."+bl+" A", append(many, "127.0.2.1")...)
		w.run()
		w.learn(s, "11.2.0.1", lists.Held)
		w.learn(s, "11.2.0.2", lists.Held)
		w.learn(s, "11.2.0.3", lists.Unloaded)
		w.state("open", "it gives 65 answers at once")
	})
}

// A zone that holds every IPv6 address is asked about IPv4 only.
func TestIPv6IsTested(t *testing.T) {
	const test6 = "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0." + bl
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.learn(s, "2a00::1", lists.Absent)
		time.Sleep(40 * time.Second)
		w.set("*.a.2."+bl+" A", "127.0.0.2")
		w.set(test6+" A", "127.0.0.2")
		w.learn(s, "2a00::2", lists.Held)
		w.learn(s, "11.2.0.1", lists.Absent)
		time.Sleep(40 * time.Second)
		w.want(s, "2a00::2", lists.Unloaded)
		w.want(s, "2a00::1", lists.Absent)
		w.want(s, "11.2.0.1", lists.Absent)
		w.learn(s, listed, lists.Held)
		if st := w.zone(bl); st.State != "trusted" || st.IPv6 != "open" || !strings.Contains(st.Error6, "::FFFF:7F00:1 is listed") {
			t.Errorf("%+v", st)
		}
		w.fail(test6, resolve.ServFail) // which shows nothing
		time.Sleep(40 * time.Second)
		if st := w.zone(bl); st.State != "trusted" || st.IPv6 != "open" {
			t.Errorf("%+v", st)
		}
		w.mend()
		w.set(test6 + " A")
		time.Sleep(40 * time.Second)
		w.learn(s, "2a00::2", lists.Held)
		w.log.has(t, "warning zone list.example is not asked about IPv6 addresses: ::FFFF:7F00:1 is listed (127.0.0.2), so everything may be; such clients count as unknown",
			"info zone list.example is asked about IPv6 addresses again")
	})
	t.Run("before it is known", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			s := w.good(bl)
			w.fail(test6, resolve.ServFail)
			w.run()
			w.learn(s, "2a00::1", lists.Unloaded)
			w.learn(s, listed, lists.Held)
			if st := w.zone(bl); st.IPv6 != "untested" {
				t.Errorf("%+v", st)
			}
		})
	})
}

// A zone without test entries is believed until it fails.
func TestUntested(t *testing.T) {
	for _, byName := range []bool{false, true} {
		bubble(t, Defaults(), func(w *world) {
			s := w.Source(Spec{Zones: []Zone{{Name: bl, Weight: 1, Untested: true, ByName: byName}}, Threshold: 1})
			w.set("1.1.1.11."+bl+" A", "127.0.0.2")
			w.set("mail.good.example."+bl+" A", "127.0.0.2")
			w.run()
			c := at(listed)
			c.Name = "mail.good.example"
			if got := w.within(time.Second, s, c); got != lists.Held {
				t.Error(word(got))
			}
			time.Sleep(10 * time.Minute)
			if st := w.zone(bl); st.State != "trusted" || st.Tests != 0 || !st.Untested || st.ByName != byName {
				t.Errorf("%+v", st)
			}
			w.fail(bl, resolve.Timeout)
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
			w.state("trusted", "")
			probe := map[bool]string{false: "1.0.0.127.", true: "invalid."}[byName]
			if w.count(probe+bl+" A") < 2 || w.count("2.0.0.127."+bl+" A") != 0 {
				t.Errorf("asked %v", w.questions())
			}
		})
	}
}

func TestReason(t *testing.T) {
	for _, tc := range []struct {
		err        error
		word, text string
	}{
		{&resolve.Error{Kind: resolve.ServFail, Name: "1.1.1.11.list.example"}, "servfail", "servfail"},
		{&resolve.Error{Kind: resolve.Malformed, Server: netip.MustParseAddrPort("127.0.0.1:53"), Err: errors.New("a reason")}, "malformed", "malformed from 127.0.0.1:53: a reason"},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), "timeout", "timeout"},
		{errors.New("another"), "unreachable", "unreachable"},
		{lie("it lies"), "not-believed", "not-believed"},
	} {
		if r := reasonOf(tc.err); r.String() != tc.word || r.text(tc.err) != tc.text {
			t.Errorf("%v: %s, %s", tc.err, r, r.text(tc.err))
		}
	}
}

// A zone that was always good needs no sources that ask, and what is not used
// is forgotten.
func TestRetain(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		one, two := w.good("one.example"), w.good("two.example")
		w.run()
		w.learn(one, listed, lists.Held)
		w.learn(two, listed, lists.Held)
		again := w.one("One.Example.")
		w.want(again, listed, lists.Held) // the same zone
		w.Retain([]*Source{again})
		st := w.State()
		if len(st.Zones) != 1 || st.Zones[0].Zone != "one.example" || st.Zones[0].Asked != 1 || st.Entries != 1 {
			t.Errorf("%+v", st)
		}
		tests := w.count("2.0.0.127.two.example A")
		time.Sleep(5 * time.Minute)
		if w.count("2.0.0.127.two.example A") != tests {
			t.Error("what was forgotten is tested")
		}
		three := w.good("three.example") // while it runs
		w.want(three, listed, lists.Pending)
		synctest.Wait()
		w.learn(three, listed, lists.Held)
		w.Retain([]*Source{again, two, three})
		synctest.Wait()
		w.learn(two, listed, lists.Held)
		byName := w.Source(Spec{Zones: []Zone{{Name: "one.example", ByName: true}}})
		if byName.members[0].zone == one.members[0].zone || len(w.State().Zones) != 4 {
			t.Error("a zone that is asked by name is another one")
		}
	})
}
