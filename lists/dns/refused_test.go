package dns

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
)

// list.dnswl.org answers 127.0.0.255 to who asks too much ("blocked"). That is no "not listed".
func TestRefusedAsDnswlDoes(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.list("list.dnswl.org", map[string]string{listed: "127.0.5.2"})
		s := w.Source(Spec{Zones: []Zone{{Name: "list.dnswl.org", Weight: 1, Answer: filter("127.0.[0..255].[1..3]")}}, Threshold: 1})
		w.run()
		time.Sleep(6 * time.Second)
		w.set("*.list.dnswl.org A", "127.0.0.255")
		w.set("1.1.1.11.list.dnswl.org A")
		w.set("2.0.0.127.list.dnswl.org A")
		w.learn(s, listed, lists.Unloaded)
	})
}

// A first question that waited for the self-test counts for the breaker.
func TestFirstLie(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.set("1.1.1.11."+bl+" A", "127.255.255.254")
		w.delay = 10 * time.Millisecond
		w.begin()
		synctest.Wait()
		w.learn(s, listed, lists.Unloaded)
		if st := w.zone(bl); st.State != "open" {
			t.Errorf("an error code, and the zone is %s", st.State)
		}
	})
}

// Pending is what is said by who does not wait, however quick the resolver is.
func TestPendingIsCertain(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		n := 0
		for i := range 2000 {
			if got := w.now(s, at(fmt.Sprintf("11.9.%d.%d", i>>8, i&255))); got == lists.Held || got == lists.Absent {
				n++
			}
		}
		if n > 0 {
			t.Errorf("%d of 2000 were known without a wait", n)
		}
	})
}

// A zone that begins to list everybody right after a test is tested again soon,
// and not when its turn comes.
func TestStreakAfterTest(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.set("*."+bl+" A", "127.0.0.2")
		for i := range 8 {
			w.learn(s, fmt.Sprintf("11.5.0.%d", i), lists.Held)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if st := w.zone(bl); st.State != "open" {
			t.Errorf("the zone is %s after %d tests", st.State, st.Tests)
		}
	})
}
