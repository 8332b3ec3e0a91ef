package dnsbl

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
)

// If a zone fails its health check, its answers since the last good one are dropped.
func TestFlush(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s, other := w.good(bl), w.good("other.example")
		w.run()
		w.learn(s, listed, lists.Matched)
		w.learn(s, unlisted, lists.NoMatch)
		time.Sleep(40 * time.Second) // a test is passed meanwhile
		if n := w.zone(bl).HealthChecks; n != 2 {
			t.Fatalf("%d tests", n)
		}
		w.Set("*."+bl+" A", "127.0.0.2")
		w.learn(s, "11.2.0.1", lists.Matched) // it is not known yet
		w.learn(s, "2a00::1", lists.Matched)
		w.learn(other, "11.2.0.1", lists.NoMatch)
		time.Sleep(40 * time.Second)
		w.want(other, "11.2.0.1", lists.NoMatch)
		w.state("disabled", "127.0.0.1 is listed (127.0.0.2)")
		w.want(s, "11.2.0.1", lists.Unavailable)
		w.want(s, "2a00::1", lists.Unavailable)
		w.want(s, listed, lists.Matched)
		w.want(s, unlisted, lists.NoMatch)
		w.Set("*." + bl + " A")
		time.Sleep(5 * time.Minute)
		w.state("enabled", "")
		w.learn(s, "11.2.0.1", lists.NoMatch)

		w.Set("*."+bl+" A", "127.0.0.2") // again
		w.learn(s, "11.2.0.2", lists.Matched)
		time.Sleep(40 * time.Second)
		w.want(s, "11.2.0.2", lists.Unavailable)
	})
	t.Run("in flight", func(t *testing.T) {
		bubble(t, dnscache.Defaults(), func(w *world) {
			w.Client.resolver = &lagging{w.Book, "11." + bl, 4900 * time.Millisecond}
			s := w.good(bl)
			w.run()
			w.Set("*."+bl+" A", "127.0.0.2")
			asked := 0
			for ; w.zone(bl).State == "enabled"; asked++ {
				w.want(s, fmt.Sprintf("11.2.0.%d", asked), lists.Pending)
				time.Sleep(time.Second)
			}
			w.state("disabled", "127.0.0.1 is listed (127.0.0.2)")
			time.Sleep(5 * time.Second) // the last ones are answered now
			if st := w.Stats(); st.Entries != 0 || st.InFlight != 0 || st.Zones[0].Answered != uint64(asked) {
				t.Errorf("%+v", st)
			}
			w.want(s, fmt.Sprintf("11.2.0.%d", asked-1), lists.Unavailable)
		})
	})
}

// An answer that no list gives counts for no client, and shows at once that
// something is wrong. What was said before still counts.
func TestFaultyAnswer(t *testing.T) {
	for answer, why := range map[string]string{
		"127.255.255.254":           "answer 127.255.255.254 is an error code: it is queried through a public resolver",
		"127.255.255.255":           "answer 127.255.255.255 is an error code: it is queried too often",
		"192.0.2.1":                 "answer 192.0.2.1 is not in",
		"127.0.0.2 127.255.255.252": "answer 127.255.255.252 is an error code: the name of the zone is misspelled",
		"127.0.0.2 0.0.0.0":         "answer 0.0.0.0 is not in",
	} {
		t.Run(answer, func(t *testing.T) {
			bubble(t, dnscache.Defaults(), func(w *world) {
				s := w.good(bl)
				w.run()
				w.learn(s, listed, lists.Matched)
				w.Set("9.0.2.11."+bl+" A", strings.Fields(answer)...)
				w.learn(s, "11.2.0.9", lists.Unavailable)
				w.state("disabled", why)
				w.want(s, listed, lists.Matched)
				w.want(s, unlisted, lists.Unavailable)
				if n := len(w.events.All()); n != 1 {
					t.Errorf("%d lines", n)
				}
				time.Sleep(2 * time.Second)
				w.state("enabled", "")
				if st := w.zone(bl); st.Failed["bogus"] != 1 || st.Queries != 2 || st.Answered != 2 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestTooManyAnswers(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		var many []string
		for i := range maxAnswers {
			many = append(many, fmt.Sprintf("127.0.1.%d", i))
		}
		w.Set("1.0.2.11."+bl+" A", many...)
		w.Set("2.0.2.11."+bl+" A", append(many, many...)...)
		w.Set("3.0.2.11."+bl+" A", append(many, "127.0.2.1")...)
		w.run()
		w.learn(s, "11.2.0.1", lists.Matched)
		w.learn(s, "11.2.0.2", lists.Matched)
		w.learn(s, "11.2.0.3", lists.Unavailable)
		w.state("disabled", "too many answers to one query: 65")
	})
}
