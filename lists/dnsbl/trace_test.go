package dnsbl

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

func steps(in []lists.TraceStep) string {
	var b strings.Builder
	for _, s := range in {
		fmt.Fprintf(&b, "%s | %s | %s | %s | %v | %v\n", s.Query, s.Answer, s.Means, s.From, s.Age, s.TTL)
	}
	return b.String()
}

func (w *world) traces(t lists.Tracer, c lists.Client, want ...string) {
	w.Helper()
	synctest.Wait()
	before := len(w.questions())
	if got := steps(t.Trace(c)); got != strings.Join(want, "\n")+"\n" {
		w.Errorf("got\n%swant\n%s", got, strings.Join(want, "\n"))
	}
	synctest.Wait()
	if len(w.questions()) != before {
		w.Errorf("asked %v", w.questions())
	}
}

func TestTrace(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.list("allow.example", map[string]string{listed: "127.0.5.2", "11.1.1.3": "127.0.5.0"})
		w.list("score.example", map[string]string{listed: "127.0.4.3 127.0.4.7", "2a00::1": "127.0.4.1"})
		w.set("test.names.example A", "127.0.0.2")
		w.set("mail.example.names.example A", "127.0.0.2")
		s := w.List(Spec{Threshold: 5, Zones: []Zone{
			{Name: "allow.example", Answer: filter("127.0.[0..255].[1..3]"), Weight: 2},
			{Name: "score.example", Answer: filter("127.0.4.N"), Weight: 1},
			{Name: "names.example", ByName: true, Weight: -1},
		}})
		c := at(listed)
		w.traces(s, c,
			"1.1.1.11.allow.example A | not asked | not known: not believed before its first self-test |  | 0s | 0s",
			"1.1.1.11.score.example A | not asked | not known: not believed before its first self-test |  | 0s | 0s",
			"names.example | not asked | not listed: the client has no verified name |  | 0s | 0s",
			"score | 0 of 5, without allow.example, score.example | not known |  | 0s | 0s")
		w.run()
		w.traces(w.one("allow.example"), c, "1.1.1.11.allow.example A | not asked | not known: it is not in memory |  | 0s | 0s")
		w.learn(s, listed, lists.Matched)
		time.Sleep(time.Minute)
		w.traces(s, c,
			"1.1.1.11.allow.example A | 127.0.5.2 | lists it, +2 | cache | 1m0s | 9m0s",
			"1.1.1.11.score.example A | 127.0.4.3, 127.0.4.7 | lists it, +7 | cache | 1m0s | 9m0s",
			"names.example | not asked | not listed: the client has no verified name |  | 0s | 0s",
			"score | 9 of 5 | the list holds the client |  | 0s | 0s")
		found := s.Lookup(c)
		if e := found.Entry(c.Addr); found.Status != lists.Matched || e.Text != "allow.example 127.0.5.2 (weight 2), score.example 127.0.4.7 (weight 7), score 9 of 5" {
			t.Errorf("%+v", e)
		}
		named := at("11.1.1.3")
		named.Name = "mail.example"
		if got := w.within(time.Second, s, named); got != lists.NoMatch {
			t.Error(word(got))
		}
		w.traces(s, named,
			"3.1.1.11.allow.example A | 127.0.5.0 | not listed: only 127.0.[0..255].[1..3] counts | cache | 0s | 10m0s",
			"3.1.1.11.score.example A | no such record | not listed | cache | 0s | 5m0s",
			"mail.example.names.example A | 127.0.0.2 | lists it, -1 | cache | 0s | 10m0s",
			"score | -1 of 5 | the list does not hold the client |  | 0s | 0s")
		w.traces(s, at("10.1.1.1"), "10.1.1.1 | never asked | not listed: this is no public address |  | 0s | 0s")
		w.traces(s, lists.Client{Name: "no name", HELO: "x"},
			"allow.example | not asked | not listed: the address of the client is not known |  | 0s | 0s",
			"score.example | not asked | not listed: the address of the client is not known |  | 0s | 0s",
			`"no name".names.example A | not asked | not listed: this is no host name, or too long |  | 0s | 0s`,
			"score | 0 of 5 | the list does not hold the client |  | 0s | 0s")
		c.NameStatus = lists.Unavailable
		if got := s.Trace(c)[2]; got.Means != "not known: the name of the client is not known" {
			t.Errorf("%+v", got)
		}
	})
}

func TestTraceOfTrouble(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.learn(s, listed, lists.Matched)
		w.do(func() { w.delay = time.Second })
		w.want(s, unlisted, lists.Pending)
		w.traces(s, at(unlisted), "2.1.1.11.list.example A | none yet | not known yet | in flight | 0s | 0s")
		time.Sleep(time.Second)
		w.mend()
		w.fail(bl, dnsclient.Timeout)
		w.learn(s, "11.2.0.1", lists.Unavailable)
		time.Sleep(2 * time.Second)
		w.traces(s, at("11.2.0.1"), "1.0.2.11.list.example A | timeout | not known: it failed, and is not asked again for 3s | cache | 2s | 0s")
		w.mend()
		time.Sleep(12*time.Minute - 3*time.Second)
		w.traces(s, at(listed), "1.1.1.11.list.example A | 127.0.0.2 | not known: it is too old, and will be asked again | cache, stale | 12m0s | -2m0s")
		w.fail("11."+bl, dnsclient.ServFail)
		w.learn(s, listed, lists.Matched)
		w.traces(s, at(listed), "1.1.1.11.list.example A | 127.0.0.2 | lists it, +1; it is too old and counts all the same: servfail when it was asked again | cache, stale | 12m0s | -2m0s")
		w.mend()
		w.set("*."+bl+" A", "127.0.0.2")
		time.Sleep(40 * time.Second)
		w.traces(s, at(listed), "1.1.1.11.list.example A | 127.0.0.2 | lists it, +1; it is too old and counts all the same: not believed: 127.0.0.1 is listed (127.0.0.2), so everything may be | cache, stale | 12m40s | -2m40s")
		w.traces(s, at("11.3.0.1"), "1.0.3.11.list.example A | not asked | not known: not believed: 127.0.0.1 is listed (127.0.0.2), so everything may be |  | 0s | 0s")
	})
}

func TestTraceOfNames(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		n := w.Names()
		w.set(ptr, "mail.example.")
		w.set("mail.example A", "11.1.1.1")
		w.run()
		w.traces(n, at("11.1.1.1"), ptr+" | not asked | not known: it is not in memory |  | 0s | 0s")
		w.verify("11.1.1.1")
		w.verify("11.1.1.2")
		time.Sleep(time.Minute)
		w.traces(n, at("11.1.1.1"), ptr+" | mail.example | verified: the name has the address | cache | 1m0s | 9m0s")
		w.traces(n, at("11.1.1.2"), "2.1.1.11.in-addr.arpa PTR | no verified name | no PTR record gives a name that has the address | cache | 1m0s | 4m0s")
		if got := n.Trace(at("127.0.0.1")); got != nil {
			t.Errorf("%+v", got)
		}
		if got := n.Trace(lists.Client{}); got != nil {
			t.Errorf("%+v", got)
		}
	})
}

// The description is that of what decided, whatever is known later.
func TestDescription(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.list("one.example", map[string]string{listed: "127.0.0.3"})
		w.list("two.example", nil)
		s := w.List(Spec{Threshold: 1, Zones: []Zone{{Name: "one.example", Weight: 3}, {Name: "two.example", Weight: 1}, {Name: "three.example", Weight: -1}}})
		w.run()
		w.learn(s, listed, lists.Matched) // three.example can take away no more than one
		synctest.Wait()
		found := s.Lookup(at(listed))
		w.set("1.1.1.11.one.example A", "127.0.0.4")
		time.Sleep(time.Hour)
		w.learn(s, listed, lists.Matched)
		synctest.Wait()
		again := s.Lookup(at(listed))
		if e := found.Entry(at(listed).Addr); e.Text != "one.example 127.0.0.3 (weight 3), three.example not known, score 3 of 1" {
			t.Errorf("%+v", e)
		}
		if e := again.Entry(at(listed).Addr); e.Text != "one.example 127.0.0.4 (weight 3), three.example not known, score 3 of 1" {
			t.Errorf("%+v", e)
		}
		if third := s.Lookup(at(listed)); third.By != again.By {
			t.Error("the same finding was made twice")
		}
	})
}

// However many findings there are, few are kept.
func TestFindingsAreBounded(t *testing.T) {
	s := &List{spec: Spec{Threshold: 1}, members: []member{{Zone: Zone{Weight: 1}}}}
	for i := range 3 * maxFindings {
		parts := []part{{state: known, said: string([]byte{1, byte(i >> 8), byte(i)})}}
		if f := s.found.of(s, parts); f.said != "\x01"+parts[0].said {
			t.Fatalf("%+v", f)
		}
	}
	if n := len(*s.found.all.Load()); n != maxFindings {
		t.Errorf("%d are kept", n)
	}
}
