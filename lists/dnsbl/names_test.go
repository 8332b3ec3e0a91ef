package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/listtest"
)

const ptr = "1.1.1.11.in-addr.arpa PTR"

// verify asks for a name with a wait.
func (w *world) verify(addr string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	return said(listtest.Verify(ctx, w.Names(), netip.MustParseAddr(addr)))
}

// verified asks without one.
func (w *world) verified(addr string) string {
	m := w.Names().Verify(netip.MustParseAddr(addr))
	return said(m.Name, m.Status)
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
		{name: "IPv6", addr: "2a00::1", records: map[string]string{pointer(netip.MustParseAddr("2a00::1")) + " PTR": "mail.example.",
			"mail.example AAAA": "2a00:0:0::1", "mail.example A": "11.1.1.1"}, want: "mail.example", asked: 2},
		{name: "IPv4-mapped", addr: "::ffff:11.1.1.1", records: map[string]string{ptr: "mail.example.", "mail.example A": "11.1.1.1"}, want: "mail.example"},
		{name: "a private address", addr: "10.0.0.1", records: map[string]string{"1.0.0.10.in-addr.arpa PTR": "printer.corp.example.", "printer.corp.example A": "10.0.0.1"}, want: "printer.corp.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, Defaults(), func(w *world) {
				for q, data := range tc.records {
					w.set(q, strings.Split(data, "|")...)
				}
				if tc.fails != "" {
					w.fail(tc.fails, dnsclient.ServFail)
				}
				if tc.addr == "" {
					tc.addr = "11.1.1.1"
				}
				w.Names()
				w.run()
				for range 2 {
					w.expect(w.verify(tc.addr), tc.want)
					w.expect(w.verified(tc.addr), tc.want)
				}
				total := 0
				for _, n := range w.questions() {
					total += n
				}
				if tc.asked != 0 && total != tc.asked {
					t.Errorf("asked %v", w.questions())
				}
			})
		})
	}
}

func TestNeverNamed(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.Names()
		w.run()
		for _, a := range []string{"127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "169.254.1.1", "fe80::1", "255.255.255.255"} {
			w.expect(w.verify(a), "absent")
		}
		w.expect(word(w.Names().Verify(netip.Addr{}).Status), "absent")
		if len(w.questions()) != 0 {
			t.Errorf("asked %v", w.questions())
		}
	})
}

// The name lives as long as the shortest-lived of what shows it.
func TestNameTTL(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.Names()
		w.set(ptr, "b.example.", "a.example.")
		w.set("b.example A", "11.1.1.1")
		w.ttl, w.negative = 10*time.Minute, 5*time.Minute // of what is not at a.example
		w.expect(w.verified("11.1.1.1"), "unavailable")
		w.run()
		w.expect(w.verified("11.1.1.1"), "pending")
		w.expect(w.verify("11.1.1.1"), "b.example")
		time.Sleep(4 * time.Minute)
		w.expect(w.verified("11.1.1.1"), "b.example")
		time.Sleep(time.Minute)
		w.set(ptr, "c.example.")
		w.expect(w.verified("11.1.1.1"), "pending")
		synctest.Wait()
		w.do(func() { w.delay = time.Second })
		w.expect(w.verify("11.1.1.1"), "absent")
		time.Sleep(5 * time.Minute)
		w.set("c.example A", "11.1.1.1")
		w.expect(w.verify("11.1.1.1"), "absent") // the old answer, as it takes too long
		time.Sleep(2 * time.Second)
		w.expect(w.verified("11.1.1.1"), "c.example")
	})
}

// What fails is not asked again for a minute, and an old name counts that long.
func TestNameFailure(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.Names()
		w.set(ptr, "mail.example.")
		w.set("mail.example A", "11.1.1.1")
		w.run()
		w.expect(w.verify("11.1.1.1"), "mail.example")
		time.Sleep(20 * time.Minute)
		w.fail("", dnsclient.ServFail)
		w.expect(w.verify("11.1.1.1"), "mail.example")
		w.expect(w.verify("11.1.1.2"), "unavailable")
		w.mend()
		time.Sleep(59 * time.Second)
		w.expect(w.verified("11.1.1.1"), "mail.example")
		w.expect(w.verified("11.1.1.2"), "unavailable")
		if n := w.count(ptr); n != 2 {
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
			bubble(t, Defaults(), func(w *world) {
				w.Names()
				w.run()
				time.Sleep(time.Minute)
				w.fail("in-addr.arpa", kind)
				unlucky(w, 2)
				if st := w.Stats().Names; st.State != "closed" || st.Failed[kind.String()] != 20 {
					t.Errorf("%+v", st)
				}
				probed := w.count(". NS")
				if unanswered := kind == dnsclient.Timeout || kind == dnsclient.Unreachable; unanswered != (probed > 0) || probed > 1 {
					t.Errorf("probed %d times", probed)
				}
				w.log.has(t)
			})
		})
	}
	t.Run("the resolver is away", func(t *testing.T) {
		bubble(t, Defaults(), func(w *world) {
			w.Names()
			w.set(ptr, "mail.example.")
			w.set("mail.example A", "11.1.1.1")
			w.run()
			w.expect(w.verify("11.1.1.1"), "mail.example")
			time.Sleep(30 * time.Minute)
			w.fail("", dnsclient.Timeout)
			unlucky(w, 2)
			st := w.Stats().Names
			if st.State != "open" || st.Error != "timeout from 127.0.0.1:53" || st.Opened != 1 {
				t.Errorf("%+v", st)
			}
			w.log.has(t, "warning reverse DNS is not asked until it passes a test: timeout from 127.0.0.1:53; "+
				"answers from before are used for up to 24h0m0s, clients without one count as unknown")
			asked := st.Queries
			w.expect(w.verified("11.1.1.1"), "mail.example")
			w.expect(w.verified("11.9.9.9"), "unavailable")
			if n := w.Stats().Names.Queries; n != asked {
				t.Errorf("%d questions", n-asked)
			}
			w.mend()
			w.fail(".", dnsclient.ServFail) // which an answer is, too
			time.Sleep(2 * time.Second)
			w.expect(w.verify("11.9.9.9"), "absent")
			w.expect(w.verify("11.2.0.1"), "absent") // what failed then is asked again at once
			if st := w.Stats().Names; st.State != "closed" {
				t.Errorf("%+v", st)
			}
		})
	})
}

// A list by name gets the name as a Policy finds it out.
func TestByName(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.set("test.names.example A", "127.0.0.2")
		w.set("mail.good.example.names.example A", "127.0.0.2")
		w.set(ptr, "Mail.Good.Example.")
		w.set("mail.good.example A", "11.1.1.1")
		s := w.List(Spec{Zones: []Zone{{Name: "names.example", ByName: true, Weight: 1}}, Threshold: 1})
		p := &lists.Policy{Lists: []*lists.List{{Action: lists.Suppress, Source: s}}, Names: w.Names(), Wait: 300 * time.Millisecond}
		if !s.UsesNames() || w.one("list.example").UsesNames() {
			t.Error("UsesNames is wrong")
		}
		w.run()
		if d := p.Decide(w.Context(), at("11.1.1.1")); d.Action != lists.Suppress {
			t.Errorf("%+v", d)
		}
		if d := p.Decide(w.Context(), at("11.1.1.2")); d.Reason != lists.ReasonDefault {
			t.Errorf("%+v", d)
		}
		for _, tc := range []struct {
			name   string
			status lists.Status
			want   lists.Status
		}{
			{name: "Mail.Good.Example.", want: lists.Matched},
			{name: "mail.bad.example", want: lists.NoMatch},
			{want: lists.NoMatch},
			{status: lists.Pending, want: lists.Pending},
			{status: lists.Unavailable, want: lists.Unavailable},
			{name: "no host name", want: lists.NoMatch},
			{name: strings.Repeat("abcdefg.", 29) + "abcdefg", want: lists.NoMatch},  // 239 and 14 are 253
			{name: strings.Repeat("abcdefg.", 29) + "abcdefgh", want: lists.NoMatch}, // one too long
		} {
			c := at("11.1.1.1")
			c.Name, c.NameStatus = lists.NormalizeName(tc.name), tc.status
			if got := w.within(time.Second, s, c); got != tc.want {
				t.Errorf("%+v: %s, want %s", c, word(got), word(tc.want))
			}
		}
		if st := w.zone("names.example"); st.IPv6 != "closed" || !st.ByName {
			t.Errorf("%+v", st)
		}
		long := strings.Repeat("abcdefg.", 29)
		if w.count(long+"abcdefg.names.example A") != 1 || w.count(long+"abcdefgh.names.example A") != 0 || w.count("no host name.names.example A") != 0 {
			t.Errorf("asked %v", w.questions())
		}
		if got := w.within(time.Second, s, lists.Client{Name: "mail.good.example"}); got != lists.Matched {
			t.Errorf("without an address: %s", word(got))
		}
		if got := w.within(time.Second, w.good("list.example"), lists.Client{Name: "mail.good.example"}); got != lists.NoMatch {
			t.Errorf("by address, without one: %s", word(got))
		}
	})
}

// What is kept of a client is not in the buffer that its name came in.
func TestNameIsCopied(t *testing.T) {
	bubble(t, Defaults(), func(w *world) {
		w.set("test.names.example A", "127.0.0.2")
		w.set("good.example.names.example A", "127.0.0.2")
		s := w.List(Spec{Zones: []Zone{{Name: "names.example", ByName: true, Weight: 1}}, Threshold: 1})
		w.run()
		buffer := []byte("good.example")
		c := lists.Client{Addr: at(listed).Addr, Name: unsafe.String(&buffer[0], len(buffer))}
		w.now(s, c)
		synctest.Wait()
		copy(buffer, "evil.example")
		if got := w.now(s, c); got == lists.Matched {
			t.Error("another name is listed")
		}
		if got := w.now(s, lists.Client{Addr: c.Addr, Name: "good.example"}); got != lists.Matched {
			t.Errorf("the name is %s", word(got))
		}
	})
}
