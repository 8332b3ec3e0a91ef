package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

// What a zone says is void from the last test on that it passed.
func TestLies(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s, other := w.good(bl), w.good("other.example")
		w.run()
		w.learn(s, listed, lists.Matched)
		w.learn(s, unlisted, lists.NoMatch)
		time.Sleep(40 * time.Second) // a test is passed meanwhile
		if n := w.zone(bl).Tests; n != 2 {
			t.Fatalf("%d tests", n)
		}
		w.set("*."+bl+" A", "127.0.0.2")
		w.learn(s, "11.2.0.1", lists.Matched) // nobody can know yet
		w.learn(s, "2a00::1", lists.Matched)
		w.learn(other, "11.2.0.1", lists.NoMatch)
		time.Sleep(40 * time.Second)
		w.want(other, "11.2.0.1", lists.NoMatch)
		w.state("open", "127.0.0.1 is listed (127.0.0.2)")
		w.want(s, "11.2.0.1", lists.Unavailable)
		w.want(s, "2a00::1", lists.Unavailable)
		w.want(s, listed, lists.Matched)
		w.want(s, unlisted, lists.NoMatch)
		w.set("*." + bl + " A")
		time.Sleep(5 * time.Minute)
		w.state("closed", "")
		w.learn(s, "11.2.0.1", lists.NoMatch)

		w.set("*."+bl+" A", "127.0.0.2") // again
		w.learn(s, "11.2.0.2", lists.Matched)
		time.Sleep(40 * time.Second)
		w.want(s, "11.2.0.2", lists.Unavailable)
	})
	t.Run("in flight", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			w.Client.asker = &lagging{w.book, "11." + bl, 4900 * time.Millisecond}
			s := w.good(bl)
			w.run()
			w.set("*."+bl+" A", "127.0.0.2")
			asked := 0
			for ; w.zone(bl).State == "closed"; asked++ {
				w.want(s, fmt.Sprintf("11.2.0.%d", asked), lists.Pending)
				time.Sleep(time.Second)
			}
			w.state("open", "127.0.0.1 is listed (127.0.0.2)")
			time.Sleep(5 * time.Second) // the last ones are answered now
			if st := w.Stats(); st.Entries != 0 || st.InFlight != 0 || st.Zones[0].Answered != uint64(asked) {
				t.Errorf("%+v", st)
			}
			w.want(s, fmt.Sprintf("11.2.0.%d", asked-1), lists.Unavailable)
		})
	})
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
				w.learn(s, listed, lists.Matched)
				w.set("9.0.2.11."+bl+" A", strings.Fields(answer)...)
				w.learn(s, "11.2.0.9", lists.Unavailable)
				w.state("open", why)
				w.want(s, listed, lists.Matched)
				w.want(s, unlisted, lists.Unavailable)
				if n := len(w.log.get()); n != 1 {
					t.Errorf("%d lines", n)
				}
				time.Sleep(2 * time.Second)
				w.state("closed", "")
				if st := w.zone(bl); st.Failed["not-believed"] != 1 || st.Queries != 2 || st.Answered != 2 {
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
		w.learn(s, "11.2.0.1", lists.Matched)
		w.learn(s, "11.2.0.2", lists.Matched)
		w.learn(s, "11.2.0.3", lists.Unavailable)
		w.state("open", "it gives 65 answers at once")
	})
}

func TestReason(t *testing.T) {
	for _, tc := range []struct {
		err        error
		word, text string
	}{
		{&dnsclient.Error{Kind: dnsclient.ServFail, Name: "1.1.1.11.list.example"}, "servfail", "servfail"},
		{&dnsclient.Error{Kind: dnsclient.Malformed, Server: netip.MustParseAddrPort("127.0.0.1:53"), Err: errors.New("a reason")}, "malformed", "malformed from 127.0.0.1:53: a reason"},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), "timeout", "timeout"},
		{errors.New("another"), "unreachable", "unreachable"},
		{bogusAnswer("it lies"), "not-believed", "not-believed"},
	} {
		if r := reasonOf(tc.err); r.String() != tc.word || r.text(tc.err) != tc.text {
			t.Errorf("%v: %s, %s", tc.err, r, r.text(tc.err))
		}
	}
}
