package dnsbl

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
)

const (
	listed   = "11.1.1.1"
	unlisted = "11.1.1.2"
)

// good is a zone that lists one address.
func (w *world) good(zone string) *List {
	w.SetZone(zone, map[string]string{listed: "127.0.0.2"})
	return w.one(zone)
}

func TestLookup(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good("list.example")
		w.want(s, listed, lists.Unavailable) // it does not run yet
		w.run()
		w.want(s, listed, lists.Pending)
		w.want(s, unlisted, lists.Pending)
		synctest.Wait()
		w.want(s, listed, lists.Matched)
		w.want(s, unlisted, lists.NoMatch)
		w.learn(s, "2a00::1", lists.NoMatch)
		w.SetZone("list.example", map[string]string{"2a00::2": "127.0.0.2"})
		w.learn(s, "2a00::2", lists.Matched)
		w.want(s, "::ffff:"+listed, lists.Matched)
		for _, q := range []string{"1.1.1.11.list.example A", "2.1.1.11.list.example A",
			"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.2.list.example A"} {
			if n := w.Count(q); n != 1 {
				t.Errorf("%s was asked %d times", q, n)
			}
		}
		w.stop()
		w.want(s, listed, lists.Matched)
		w.want(s, "11.1.1.3", lists.Unavailable)
		if st := w.zone("list.example"); st.Queries != 4 || st.Answered != 4 || st.Listed != 2 || st.Hits != 4 || st.InFlight != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// All callers wait for the same query, and no longer than they can.
func TestOneFlight(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.Do(func() { w.Delay = time.Second })
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
		if got[result{lists.Pending, 300 * time.Millisecond}] != each || got[result{lists.Matched, time.Second}] != 2*each {
			t.Errorf("%v", got)
		}
		if n := w.Count("1.1.1.11.list.example A"); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// A query that failed is not repeated for each session.
func TestFailureIsRemembered(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good("list.example")
		w.run()
		w.Break("1.1.1.11.list.example", dnsclient.ServFail)
		w.want(s, listed, lists.Pending)
		synctest.Wait()
		for range 5 {
			w.want(s, listed, lists.Unavailable)
			w.learn(s, listed, lists.Unavailable)
		}
		if n := w.Count("1.1.1.11.list.example A"); n != 1 {
			t.Errorf("asked %d times", n)
		}
		w.Mend()
		time.Sleep(5 * time.Second)
		w.learn(s, listed, lists.Matched)
		if st := w.zone("list.example"); st.Failed["servfail"] != 1 || st.State != "enabled" {
			t.Errorf("%+v", st)
		}
	})
}

// Addresses that are no global unicast addresses are on no list.
func TestNeverAsked(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.List(Spec{Zones: []Zone{{Domain: NewDomain("list.example", ""), Weight: 1}, {Domain: NewDomain("names.example", ""), ByName: true, Weight: 1}}, Threshold: 1})
		w.run()
		w.want(s, "10.0.0.1", lists.NoMatch)
		w.want(s, "::ffff:10.0.0.1", lists.NoMatch)
		c := at("192.168.1.1")
		c.Name = "printer.corp.example"
		if got := w.now(s, c); got != lists.NoMatch {
			t.Error(word(got))
		}
		synctest.Wait()
		if st := w.Stats(); st.Zones[0].Queries+st.Zones[1].Queries != 0 {
			t.Errorf("asked %v", w.Queries())
		}
	})
}

// An answer after a wait is decided as soon as it can be.
func TestWaitsNoLongerThanItMatters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, dnscache.Defaults())
		for _, zone := range []string{"slow.example", "quick.example"} {
			w.SetZone(zone, map[string]string{listed: "127.0.0.2"})
		}
		w.Client.resolver = &lagging{w.Book, "11.slow.example", time.Second}
		s := w.List(Spec{Zones: []Zone{{Domain: NewDomain("slow.example", ""), Weight: 1}, {Domain: NewDomain("quick.example", ""), Weight: 1}}, Threshold: 1})
		w.run()
		begin := time.Now()
		w.learn(s, listed, lists.Matched)
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %v", took)
		}
		w.learn(s, unlisted, lists.Pending)
	})
}

// Several lists of one policy are asked beside each other, so that they take no
// longer together than the slowest, and are known to the next session.
func TestListsBesideEachOther(t *testing.T) {
	const wait = 300 * time.Millisecond
	for delay, known := range map[time.Duration]bool{wait / 2: true, 2 * wait: false} {
		bubble(t, dnscache.Defaults(), func(w *world) {
			p := &lists.Policy{Default: lists.Suppress, Wait: wait}
			for i := range 3 {
				p.Lists = append(p.Lists, &lists.List{Action: lists.Offer, Source: w.good(fmt.Sprintf("list%d.example", i))})
			}
			w.run()
			w.Do(func() { w.Delay, w.Most = delay, 0 })
			begin := time.Now()
			first := p.Decide(w.Context(), at(unlisted))
			if took := time.Since(begin); took != min(delay, wait) || (first.Reason == lists.ReasonDefault) != known {
				t.Errorf("lists of %v: %s by %s after %v", delay, first.Action, first.Reason, took)
			}
			time.Sleep(delay)
			if d := p.Decide(w.Context(), at(unlisted)); d.Action != lists.Suppress || w.Most != 3 {
				t.Errorf("lists of %v, the next session: %s by %s; %d at once", delay, d.Action, d.Reason, w.Most)
			}
		})
	}
}
