package iprev

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/dnsfake"
	"ehlogate/lists/test/listtest"

	"go.uber.org/goleak"
)

const ptr = "1.1.1.11.in-addr.arpa PTR"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a verifier that queries a book, in a bubble of its own time.
type world struct {
	*testing.T
	*dnsfake.Book
	*Verifier
	events *dnsfake.Events
}

func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, Book: dnsfake.NewBook(), events: new(dnsfake.Events)}
		w.Verifier = New(dnscache.New(dnscache.Defaults(), time.Now, w.events.Notify), w.Book)
		f(w)
	})
}

func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.cache.Run(ctx) }()
	w.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
}

// verify asks for a name with a wait.
func (w *world) verify(addr string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	return said(listtest.Verify(ctx, w.Verifier, netip.MustParseAddr(addr)))
}

// verified asks without one.
func (w *world) verified(addr string) string {
	m := w.Verify(netip.MustParseAddr(addr), lists.First)
	return said(m.Name, m.Status)
}

func word(s lists.Status) string {
	return [...]string{"absent", "held", "excepted", "unavailable", "pending"}[s]
}

func said(name string, status lists.Status) string {
	if status == lists.Matched && name != "" {
		return name
	}
	if name != "" {
		return word(status) + " with a name"
	}
	return word(status)
}

func (w *world) expect(got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("got %s, want %s", got, want)
	}
}

func TestVerify(t *testing.T) {
	many := make([]string, 0, 30)
	for i := range 30 {
		many = append(many, fmt.Sprintf("n%02d.example.", i))
	}
	for _, tc := range []struct {
		name, addr string
		records    map[string]string // by question, data by "|"
		fails      string
		want       string
		asked      int // questions; 0: any number
	}{
		{name: "confirmed", records: map[string]string{ptr: "Mail.Example.", "mail.example A": "11.9.9.9|11.1.1.1"}, want: "mail.example", asked: 2},
		{name: "not confirmed", records: map[string]string{ptr: "mail.example.", "mail.example A": "11.9.9.9"}, want: "absent", asked: 2},
		{name: "a name without addresses", records: map[string]string{ptr: "mail.example."}, want: "absent", asked: 2},
		{name: "none", want: "absent", asked: 1},
		{name: "the first in order", records: map[string]string{ptr: "z.example.|a.example.|b.example.|a.example.",
			"z.example A": "11.1.1.1", "a.example A": "11.1.1.2", "b.example A": "11.1.1.1"}, want: "b.example", asked: 3},
		{name: "no host names", records: map[string]string{ptr: `a\.b.example.|*.example.|a\032b.example.|11.1.1.1.|.`, "11.1.1.1 A": "11.1.1.1"}, want: "absent", asked: 1},
		{name: "a host name among others", records: map[string]string{ptr: `*.example.|mail.example.`, "mail.example A": "11.1.1.1"}, want: "mail.example", asked: 2},
		{name: "ten are tried, and the eleventh might be it", records: map[string]string{ptr: strings.Join(many, "|"), "n10.example A": "11.1.1.1"}, want: "unavailable", asked: 11},
		{name: "the tenth", records: map[string]string{ptr: strings.Join(many, "|"), "n09.example A": "11.1.1.1"}, want: "n09.example", asked: 11},
		{name: "PTR fails", fails: "11.in-addr.arpa", want: "unavailable", asked: 1},
		{name: "A fails", records: map[string]string{ptr: "mail.example."}, fails: "mail.example", want: "unavailable", asked: 2},
		{name: "the first may be it", records: map[string]string{ptr: "a.example.|b.example.", "b.example A": "11.1.1.1"}, fails: "a.example", want: "unavailable", asked: 2},
		{name: "IPv6", addr: "2a00::1", records: map[string]string{dnsclient.PointerName(netip.MustParseAddr("2a00::1")) + " PTR": "mail.example.",
			"mail.example AAAA": "2a00:0:0::1", "mail.example A": "11.1.1.1"}, want: "mail.example", asked: 2},
		{name: "IPv4-mapped", addr: "::ffff:11.1.1.1", records: map[string]string{ptr: "mail.example.", "mail.example A": "11.1.1.1"}, want: "mail.example"},
		{name: "a private address", addr: "10.0.0.1", records: map[string]string{"1.0.0.10.in-addr.arpa PTR": "printer.corp.example.", "printer.corp.example A": "10.0.0.1"}, want: "printer.corp.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(w *world) {
				for q, data := range tc.records {
					w.Set(q, strings.Split(data, "|")...)
				}
				if tc.fails != "" {
					w.Break(tc.fails, dnsclient.ServFail)
				}
				if tc.addr == "" {
					tc.addr = "11.1.1.1"
				}
				w.run()
				for range 2 {
					w.expect(w.verify(tc.addr), tc.want)
					w.expect(w.verified(tc.addr), tc.want)
				}
				total := 0
				for _, n := range w.Queries() {
					total += n
				}
				if tc.asked != 0 && total != tc.asked {
					t.Errorf("asked %v", w.Queries())
				}
			})
		})
	}
}

func TestNeverNamed(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		for _, a := range []string{"127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "169.254.1.1", "fe80::1", "255.255.255.255"} {
			w.expect(w.verify(a), "absent")
		}
		w.expect(word(w.Verify(netip.Addr{}, lists.First).Status), "absent")
		if len(w.Queries()) != 0 {
			t.Errorf("asked %v", w.Queries())
		}
	})
}

// The name lives as long as the shortest-lived of what shows it.
func TestNameTTL(t *testing.T) {
	bubble(t, func(w *world) {
		w.Set(ptr, "b.example.", "a.example.")
		w.Set("b.example A", "11.1.1.1")
		w.TTL, w.Negative = 10*time.Minute, 5*time.Minute // of what is not at a.example
		w.expect(w.verified("11.1.1.1"), "unavailable")
		w.run()
		w.expect(w.verified("11.1.1.1"), "pending")
		w.expect(w.verify("11.1.1.1"), "b.example")
		time.Sleep(4 * time.Minute)
		w.expect(w.verified("11.1.1.1"), "b.example")
		time.Sleep(time.Minute)
		w.Set(ptr, "c.example.")
		w.expect(w.verified("11.1.1.1"), "pending")
		synctest.Wait()
		w.Do(func() { w.Delay = time.Second })
		w.expect(w.verify("11.1.1.1"), "absent")
		time.Sleep(5 * time.Minute)
		w.Set("c.example A", "11.1.1.1")
		w.expect(w.verify("11.1.1.1"), "absent") // the old answer, as it takes too long
		time.Sleep(2 * time.Second)
		w.expect(w.verified("11.1.1.1"), "c.example")
	})
}

// What fails is not asked again for a minute, and an old name counts that long.
func TestNameFailure(t *testing.T) {
	bubble(t, func(w *world) {
		w.Set(ptr, "mail.example.")
		w.Set("mail.example A", "11.1.1.1")
		w.run()
		w.expect(w.verify("11.1.1.1"), "mail.example")
		time.Sleep(20 * time.Minute)
		w.Break("", dnsclient.ServFail)
		w.expect(w.verify("11.1.1.1"), "mail.example")
		w.expect(w.verify("11.1.1.2"), "unavailable")
		w.Mend()
		time.Sleep(59 * time.Second)
		w.expect(w.verified("11.1.1.1"), "mail.example")
		w.expect(w.verified("11.1.1.2"), "unavailable")
		if n := w.Count(ptr); n != 2 {
			t.Errorf("asked %d times", n)
		}
		time.Sleep(time.Second)
		w.expect(w.verified("11.1.1.1"), "pending")
		w.expect(w.verify("11.1.1.2"), "absent")
	})
}

// Many clients' reverse zones are broken. That shows nothing about ours, as long
// as the resolver answers.
func TestNamesBreaker(t *testing.T) {
	unlucky := func(w *world, n int) {
		for i := range 20 {
			w.expect(w.verify(fmt.Sprintf("11.%d.0.%d", n, i)), "unavailable")
		}
		synctest.Wait()
	}
	for kind := dnsclient.Unreachable; kind <= dnsclient.Malformed; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			bubble(t, func(w *world) {
				w.run()
				time.Sleep(time.Minute)
				w.Break("in-addr.arpa", kind)
				unlucky(w, 2)
				if st := w.Stats(); st.State != "enabled" || st.Failed[kind.String()] != 20 {
					t.Errorf("%+v", st)
				}
				probed := w.Count(". NS")
				if unanswered := kind == dnsclient.Timeout || kind == dnsclient.Unreachable; unanswered != (probed > 0) || probed > 1 {
					t.Errorf("probed %d times", probed)
				}
				w.events.Expect(t)
			})
		})
	}
	t.Run("the resolver is away", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.Set(ptr, "mail.example.")
			w.Set("mail.example A", "11.1.1.1")
			w.run()
			w.expect(w.verify("11.1.1.1"), "mail.example")
			time.Sleep(30 * time.Minute)
			w.Break("", dnsclient.Timeout)
			unlucky(w, 2)
			st := w.Stats()
			if st.State != "disabled" || st.Error != "timeout from 127.0.0.1:53" || st.Opened != 1 {
				t.Errorf("%+v", st)
			}
			w.events.Expect(t, "disabled: timeout from 127.0.0.1:53 (stale 24h0m0s)")
			asked := st.Queries
			w.expect(w.verified("11.1.1.1"), "mail.example")
			w.expect(w.verified("11.9.9.9"), "unavailable")
			if n := w.Stats().Queries; n != asked {
				t.Errorf("%d questions", n-asked)
			}
			w.Mend()
			w.Break(".", dnsclient.ServFail) // which an answer is, too
			time.Sleep(2 * time.Second)
			w.expect(w.verify("11.9.9.9"), "absent")
			w.expect(w.verify("11.2.0.1"), "absent") // what failed then is asked again at once
			if st := w.Stats(); st.State != "enabled" {
				t.Errorf("%+v", st)
			}
		})
	})
}

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

func at(addr string) lists.Client { return lists.Client{Addr: netip.MustParseAddr(addr)} }

func TestTrace(t *testing.T) {
	bubble(t, func(w *world) {
		n := w.Verifier
		w.Set(ptr, "mail.example.")
		w.Set("mail.example A", "11.1.1.1")
		w.run()
		w.traces(n, at("11.1.1.1"), ptr+" | not queried | not known: not in the cache |  | 0s | 0s")
		w.verify("11.1.1.1")
		w.verify("11.1.1.2")
		time.Sleep(time.Minute)
		w.traces(n, at("11.1.1.1"), ptr+" | mail.example | verified: the name resolves to the address | cache | 1m0s | 9m0s")
		w.traces(n, at("11.1.1.2"), "2.1.1.11.in-addr.arpa PTR | no verified name | no PTR record has a name that resolves to the address | cache | 1m0s | 4m0s")
		if got := n.Trace(at("127.0.0.1")); got != nil {
			t.Errorf("%+v", got)
		}
		if got := n.Trace(lists.Client{}); got != nil {
			t.Errorf("%+v", got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	book := dnsfake.NewBook()
	v := New(dnscache.New(dnscache.Defaults(), time.Now, nil), book)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); v.cache.Run(ctx) }()
	defer func() { cancel(); <-done }()
	addr := netip.MustParseAddr("11.1.1.1")
	for v.Verify(addr, lists.First).Status != lists.NoMatch {
		runtime.Gosched()
	}
	b.ReportAllocs()
	for b.Loop() {
		v.Verify(addr, lists.First)
	}
}

// No query is sent about what netip does not call global unicast, and no border is left out of Boundaries.
func TestBoundaries(t *testing.T) {
	listtest.CheckBoundaries(t, hostless, func(a netip.Addr) bool { return !a.IsGlobalUnicast() })
}
