package dnsbl

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
)

// list.dnswl.org answers 127.0.0.255 to too many queries ("blocked"). That does not mean "not listed".
func TestRefusedAsDnswlDoes(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		w.SetZone("list.dnswl.org", map[string]string{listed: "127.0.5.2"})
		s := w.List(Spec{Zones: []Zone{{Domain: NewDomain("list.dnswl.org", ""), Weight: 1, Answer: filter("127.0.[0..255].[1..3]")}}, Threshold: 1})
		w.run()
		time.Sleep(6 * time.Second)
		w.Set("*.list.dnswl.org A", "127.0.0.255")
		w.Set("1.1.1.11.list.dnswl.org A")
		w.Set("2.0.0.127.list.dnswl.org A")
		w.learn(s, listed, lists.Unavailable)
	})
}

// Where the filter has 127.0.0.255 it is a listing, such as the highest score;
// where there is none, or one without it, it is an error code.
func TestHighestAnswer(t *testing.T) {
	for answer, takes := range map[string]bool{"127.0.0.N": true, "127.0.0.255": true, "127.0.0.[2;200..255]": true,
		"": false, "127.0.0.[2..254]": false, "127.0.N.2": false} {
		t.Run(answer, func(t *testing.T) {
			bubble(t, dnscache.Defaults(), func(w *world) {
				w.SetZone(bl, map[string]string{listed: "127.0.0.255"})
				s := w.List(Spec{Zones: []Zone{{Domain: NewDomain(bl, ""), Weight: 1, Answer: filter(answer)}}, Threshold: 1})
				w.run()
				if takes {
					w.learn(s, listed, lists.Matched)
					w.state("enabled", "")
				} else {
					w.learn(s, listed, lists.Unavailable)
					w.state("disabled", "answer 127.0.0.255 is an error code: the query is refused")
				}
			})
		})
	}
	// A zone is shared by lists that take other answers of it, until they are gone.
	bubble(t, dnscache.Defaults(), func(w *world) {
		source := func(answer string) *List {
			return w.List(Spec{Zones: []Zone{{Domain: NewDomain(bl, ""), Weight: 1, Answer: filter(answer)}}, Threshold: 1})
		}
		w.SetZone(bl, map[string]string{listed: "127.0.0.255", unlisted: "127.0.0.255"})
		two, score := source("127.0.0.2"), source("127.0.0.N")
		w.Retain([]*List{two, score})
		w.run()
		w.learn(two, listed, lists.NoMatch)
		w.learn(score, listed, lists.Matched)
		w.state("enabled", "")
		w.Retain([]*List{two})
		w.learn(two, unlisted, lists.Unavailable)
	})
}

// A first query that waited for the health check counts for the breaker.
func TestFirstAnswerBogus(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.Set("1.1.1.11."+bl+" A", "127.255.255.254")
		w.Delay = 10 * time.Millisecond
		w.begin()
		synctest.Wait()
		w.learn(s, listed, lists.Unavailable)
		if st := w.zone(bl); st.State != "disabled" {
			t.Errorf("an error code, and the zone is %s", st.State)
		}
	})
}

// A lookup without a wait is Pending, however quick the resolver is.
func TestPendingIsCertain(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		n := 0
		for i := range 2000 {
			if got := w.now(s, at(fmt.Sprintf("11.9.%d.%d", i>>8, i&255))); got == lists.Matched || got == lists.NoMatch {
				n++
			}
		}
		if n > 0 {
			t.Errorf("%d of 2000 were known without a wait", n)
		}
	})
}

// A zone that begins to list all clients right after a health check is checked again soon, and not after the interval.
func TestStreakAfterTest(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.Set("*."+bl+" A", "127.0.0.2")
		for i := range 8 {
			w.learn(s, fmt.Sprintf("11.5.0.%d", i), lists.Matched)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if st := w.zone(bl); st.State != "disabled" {
			t.Errorf("the zone is %s after %d tests", st.State, st.HealthChecks)
		}
	})
}
