package dnsbl

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
)

func steps(in []lists.TraceStep) string {
	var b strings.Builder
	for _, s := range in {
		fmt.Fprintf(&b, "%s | %s | %s | %s | %v | %v\n", s.Query, s.Answer, s.Effect, s.From, s.Age, s.TTL)
	}
	return b.String()
}

func (w *world) traces(t lists.Tracer, c lists.Client, want ...string) {
	w.Helper()
	synctest.Wait()
	before := len(w.Queries())
	if got := steps(t.Trace(c)); got != strings.Join(want, "\n")+"\n" {
		w.Errorf("got\n%swant\n%s", got, strings.Join(want, "\n"))
	}
	synctest.Wait()
	if len(w.Queries()) != before {
		w.Errorf("asked %v", w.Queries())
	}
}

func TestTrace(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		w.SetZone("allow.example", map[string]string{listed: "127.0.5.2", "11.1.1.3": "127.0.5.0"})
		w.SetZone("score.example", map[string]string{listed: "127.0.4.3 127.0.4.7", "2a00::1": "127.0.4.1"})
		w.Set("test.names.example A", "127.0.0.2")
		w.Set("mail.example.names.example A", "127.0.0.2")
		s := w.List(Spec{Threshold: 5, Zones: []Zone{
			{Domain: NewDomain("allow.example", ""), Answer: filter("127.0.[0..255].[1..3]"), Weight: 2},
			{Domain: NewDomain("score.example", ""), Answer: filter("127.0.4.N"), Weight: 1},
			{Domain: NewDomain("names.example", ""), ByName: true, Weight: -1},
		}})
		c := at(listed)
		w.traces(s, c,
			"1.1.1.11.allow.example A | not queried | not known: disabled until its first health check passes |  | 0s | 0s",
			"1.1.1.11.score.example A | not queried | not known: disabled until its first health check passes |  | 0s | 0s",
			"names.example | not queried | not listed: the client has no verified name |  | 0s | 0s",
			"score | 0 of 5, without allow.example, score.example | not known |  | 0s | 0s")
		w.run()
		w.traces(w.one("allow.example"), c, "1.1.1.11.allow.example A | not queried | not known: not in the cache |  | 0s | 0s")
		w.learn(s, listed, lists.Matched)
		time.Sleep(time.Minute)
		w.traces(s, c,
			"1.1.1.11.allow.example A | 127.0.5.2 | listed, +2 | cache | 1m0s | 9m0s",
			"1.1.1.11.score.example A | 127.0.4.3, 127.0.4.7 | listed, +7 | cache | 1m0s | 9m0s",
			"names.example | not queried | not listed: the client has no verified name |  | 0s | 0s",
			"score | 9 of 5 | the list matches the client |  | 0s | 0s")
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
			"mail.example.names.example A | 127.0.0.2 | listed, -1 | cache | 0s | 10m0s",
			"score | -1 of 5 | the list does not match the client |  | 0s | 0s")
		w.traces(s, at("10.1.1.1"), "10.1.1.1 | never queried | not listed: not a public address |  | 0s | 0s")
		w.traces(s, lists.Client{Name: "no name", HELO: "x"},
			"allow.example | not queried | not listed: the address of the client is not known |  | 0s | 0s",
			"score.example | not queried | not listed: the address of the client is not known |  | 0s | 0s",
			`"no name".names.example A | not queried | not listed: not a host name, or too long |  | 0s | 0s`,
			"score | 0 of 5 | the list does not match the client |  | 0s | 0s")
		c.NameStatus = lists.Unavailable
		if got := s.Trace(c)[2]; got.Effect != "not known: the name of the client is not known" {
			t.Errorf("%+v", got)
		}
	})
}

func TestTraceOfTrouble(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		s := w.good(bl)
		w.run()
		w.learn(s, listed, lists.Matched)
		w.Do(func() { w.Delay = time.Second })
		w.want(s, unlisted, lists.Pending)
		w.traces(s, at(unlisted), "2.1.1.11.list.example A | none yet | not known yet | in flight | 0s | 0s")
		time.Sleep(time.Second)
		w.Mend()
		w.Break(bl, dnsclient.Timeout)
		w.learn(s, "11.2.0.1", lists.Unavailable)
		time.Sleep(2 * time.Second)
		w.traces(s, at("11.2.0.1"), "1.0.2.11.list.example A | timeout | not known: the query failed, and is repeated after 3s at the earliest | cache | 2s | 0s")
		w.Mend()
		time.Sleep(12*time.Minute - 3*time.Second)
		w.traces(s, at(listed), "1.1.1.11.list.example A | 127.0.0.2 | not known: expired, and will be queried again | cache, stale | 12m0s | -2m0s")
		w.Break("11."+bl, dnsclient.ServFail)
		w.learn(s, listed, lists.Matched)
		w.traces(s, at(listed), "1.1.1.11.list.example A | 127.0.0.2 | listed, +1; stale answer used: the query for a fresh one failed (servfail) | cache, stale | 12m0s | -2m0s")
		w.Mend()
		w.Set("*."+bl+" A", "127.0.0.2")
		time.Sleep(40 * time.Second)
		w.traces(s, at(listed), "1.1.1.11.list.example A | 127.0.0.2 | listed, +1; stale answer used: disabled: 127.0.0.1 is listed (127.0.0.2), so all clients can be | cache, stale | 12m40s | -2m40s")
		w.traces(s, at("11.3.0.1"), "1.0.3.11.list.example A | not queried | not known: disabled: 127.0.0.1 is listed (127.0.0.2), so all clients can be |  | 0s | 0s")
	})
}

// The description is that of what decided, whatever is known later.
func TestDescription(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		w.SetZone("one.example", map[string]string{listed: "127.0.0.3"})
		w.SetZone("two.example", nil)
		s := w.List(Spec{Threshold: 1, Zones: []Zone{{Domain: NewDomain("one.example", ""), Weight: 3}, {Domain: NewDomain("two.example", ""), Weight: 1}, {Domain: NewDomain("three.example", ""), Weight: -1}}})
		w.run()
		w.learn(s, listed, lists.Matched) // three.example can take away no more than one
		synctest.Wait()
		found := s.Lookup(at(listed))
		w.Set("1.1.1.11.one.example A", "127.0.0.4")
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
	s := &List{spec: Spec{Threshold: 1}, members: []member{{Zone: Zone{Weight: 1}}}, matches: make(map[string]*matched)}
	for i := range 3 * maxMatches {
		parts := []dnscache.Answer{{State: dnscache.Known, Text: string([]byte{1, byte(i >> 8), byte(i)})}}
		if f := s.findMatch(parts); f.answers != "\x01"+parts[0].Text {
			t.Fatalf("%+v", f)
		}
	}
	if n := len(s.matches); n != maxMatches {
		t.Errorf("%d are kept", n)
	}
}
