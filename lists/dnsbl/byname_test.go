package dnsbl

import (
	"ehlogate/lists"
	"ehlogate/lists/dnscache"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

const ptr = "1.1.1.11.in-addr.arpa PTR"

// A list by name gets the name as a Policy finds it out.
func TestByName(t *testing.T) {
	bubble(t, dnscache.Defaults(), func(w *world) {
		w.Set("test.names.example A", "127.0.0.2")
		w.Set("mail.good.example.names.example A", "127.0.0.2")
		w.Set(ptr, "Mail.Good.Example.")
		w.Set("mail.good.example A", "11.1.1.1")
		s := w.List(Spec{Zones: []Zone{{Domain: NewDomain("names.example", ""), ByName: true, Weight: 1}}, Threshold: 1})
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
		if st := w.zone("names.example"); st.Misses != 1 { // the name was known only after a wait; the second client has none
			t.Errorf("got %d misses, want 1", st.Misses)
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
		if st := w.zone("names.example"); !st.ByName {
			t.Errorf("%+v", st)
		}
		long := strings.Repeat("abcdefg.", 29)
		if w.Count(long+"abcdefg.names.example A") != 1 || w.Count(long+"abcdefgh.names.example A") != 0 || w.Count("no host name.names.example A") != 0 {
			t.Errorf("asked %v", w.Queries())
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
	bubble(t, dnscache.Defaults(), func(w *world) {
		w.Set("test.names.example A", "127.0.0.2")
		w.Set("good.example.names.example A", "127.0.0.2")
		s := w.List(Spec{Zones: []Zone{{Domain: NewDomain("names.example", ""), ByName: true, Weight: 1}}, Threshold: 1})
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
