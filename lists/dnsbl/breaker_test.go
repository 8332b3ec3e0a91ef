package dnsbl

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
)

const bl = "list.example"

// state says what the zone is, and why.
func (w *world) state(state, why string) {
	w.Helper()
	if st := w.zone(bl); st.State != state || !strings.Contains(st.Error, why) || (why == "") != (st.Error == "") {
		w.Errorf("%s is %s (%s), want %s (%s)", bl, st.State, st.Error, state, why)
	}
}

// Some failures in a row open the breaker; then no query about a client is sent until a health check passes, with ever longer
// pauses between checks.
func TestBreaker(t *testing.T) {
	for kind := dnsclient.Unreachable; kind <= dnsclient.Malformed; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			bubble(t, dnscache.Defaults(), func(w *world) {
				s := w.good(bl)
				w.run()
				time.Sleep(2 * time.Minute)
				w.learn(s, listed, lists.Matched)
				w.Break(bl, kind)
				for i := range breaker.MaxFailures {
					w.state("enabled", w.zone(bl).Error)
					w.learn(s, fmt.Sprintf("11.2.0.%d", i), lists.Unavailable)
				}
				w.state("disabled", "5 queries in a row failed, the last with "+kind.String()+" from 127.0.0.1:53")
				w.events.Expect(t, "disabled list.example: 5 queries in a row failed, the last with "+
					kind.String()+" from 127.0.0.1:53 (stale 24h0m0s)")
				asked, tests := w.zone(bl).Queries, w.zone(bl).HealthChecks
				w.want(s, "11.2.1.1", lists.Unavailable)
				w.want(s, listed, lists.Matched)
				var pauses []time.Duration
				last := time.Now()
				for time.Since(last) < time.Minute && len(pauses) < 12 {
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
					if n := w.zone(bl).HealthChecks; n != tests {
						pauses = append(pauses, time.Since(last))
						tests, last = n, time.Now()
					}
				}
				for i, pause := range pauses {
					want := min(time.Second<<i, 30*time.Second)
					if pause < want*9/10 || pause > want*11/10+100*time.Millisecond {
						t.Errorf("pauses are %v", pauses)
						break
					}
				}
				if len(pauses) != 12 || w.zone(bl).Queries != asked {
					t.Errorf("%d tests, %d questions about clients", len(pauses), w.zone(bl).Queries-asked)
				}
				time.Sleep(time.Hour)
				w.Mend()
				time.Sleep(33 * time.Second)
				w.state("enabled", "")
				w.learn(s, "11.2.1.1", lists.NoMatch)
				if got := w.events.All(); len(got) != 1 || !strings.HasPrefix(got[0], "enabled list.example (after ") {
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
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		for i := range 50 {
			w.Mend()
			if i%breaker.MaxFailures == 0 {
				w.learn(s, fmt.Sprintf("11.3.0.%d", i), lists.NoMatch)
			} else {
				w.Break(bl, dnsclient.Timeout)
				w.learn(s, fmt.Sprintf("11.3.0.%d", i), lists.Unavailable)
			}
		}
		if st := w.zone(bl); st.State != "enabled" || st.Opened != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// An upstream that was well for long is checked again soon, and can fail as often as before.
func TestBreakerForgets(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		for round := range 3 {
			time.Sleep(2 * time.Minute)
			w.Break(bl, dnsclient.Timeout)
			for i := range breaker.MaxFailures {
				w.state("enabled", w.zone(bl).Error)
				w.learn(s, fmt.Sprintf("11.2.%d.%d", round, i), lists.Unavailable)
			}
			w.state("disabled", "5 queries in a row")
			tests := w.zone(bl).HealthChecks
			time.Sleep(1200 * time.Millisecond)
			if n := w.zone(bl).HealthChecks; n != tests+1 {
				t.Errorf("round %d: %d tests in the first second", round, n-tests)
			}
			time.Sleep(time.Minute)
			w.Mend()
			time.Sleep(2 * time.Minute)
			w.state("enabled", "")
		}
	})
}

// Failures of what was asked before it was opened do not open it again, and
// whatever goes to and fro is tested less and less often.
func TestBreakerFlaps(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.Break(bl, dnsclient.Timeout)
		w.Do(func() { w.Delay = 4 * time.Second })
		for i := range breaker.MaxFailures {
			w.now(s, at(fmt.Sprintf("11.2.0.%d", i)))
		}
		time.Sleep(3900 * time.Millisecond)
		for i := range breaker.MaxFailures {
			w.now(s, at(fmt.Sprintf("11.2.1.%d", i)))
		}
		time.Sleep(200 * time.Millisecond) // the first have failed
		w.state("disabled", "5 queries in a row")
		w.Do(func() { w.Delay = 0; w.Failing = map[string]dnsclient.Kind{"1.2.11." + bl: dnsclient.Timeout} })
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		w.state("enabled", "")
		time.Sleep(4 * time.Second) // the others, too
		w.state("enabled", "")

		// The zone passes its tests, but does not answer about clients.
		w.Break("11."+bl, dnsclient.ServFail)
		opened := w.zone(bl).Opened
		for i := range 10 * 600 {
			time.Sleep(100 * time.Millisecond)
			w.now(s, at(fmt.Sprintf("11.%d.%d.1", 4+i>>8, i&255)))
			synctest.Wait()
		}
		if n := w.zone(bl).Opened - opened; n < 18 || n > 28 {
			t.Errorf("opened %d times in ten minutes", n)
		}
	})
}

// Sources share what they name, and what none of them names is forgotten.
func TestRetain(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		one, two := w.good("one.example"), w.good("two.example")
		w.run()
		w.learn(one, listed, lists.Matched)
		w.learn(two, listed, lists.Matched)
		again := w.one("One.Example.")
		w.want(again, listed, lists.Matched) // the same zone
		w.Retain([]*List{again})
		st := w.Stats()
		if len(st.Zones) != 1 || st.Zones[0].Zone.String() != "one.example" || st.Zones[0].Queries != 1 || st.Entries != 1 {
			t.Errorf("%+v", st)
		}
		tests := w.Count("2.0.0.127.two.example A")
		time.Sleep(5 * time.Minute)
		if w.Count("2.0.0.127.two.example A") != tests {
			t.Error("what was forgotten is tested")
		}
		three := w.good("three.example") // while it runs
		w.want(three, listed, lists.Pending)
		synctest.Wait()
		w.learn(three, listed, lists.Matched)
		w.Retain([]*List{again, two, three})
		synctest.Wait()
		w.learn(two, listed, lists.Matched)
		byName := w.List(Spec{Zones: []Zone{{Domain: NewDomain("one.example", ""), ByName: true}}})
		if byName.members[0].zone == one.members[0].zone || len(w.Stats().Zones) != 4 {
			t.Error("a zone that is asked by name is another one")
		}
	})
}
