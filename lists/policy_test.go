package lists

import (
	"net/netip"
	"testing"
)

// fixed is a source that says the same of all clients.
type fixed Status

func (f fixed) Lookup(Client) Match { return Match{Status: Status(f), ID: 7, By: f} }

func (f fixed) Entry(id int32, _ netip.Addr) Entry { return Entry{Text: "entry", Line: int(id)} }

func TestDecide(t *testing.T) {
	type l struct {
		action Action
		mode   Mode
		status Status
	}
	known := Client{Addr: netip.MustParseAddr("192.0.2.1")}
	for _, tc := range []struct {
		name     string
		lists    []l
		def      Action
		mode     Mode
		client   Client
		action   Action
		reason   Reason
		by       int // index of the list, -1 none
		observed []Action
	}{
		{name: "no lists", client: known, by: -1, reason: ReasonDefault},
		{name: "default suppress", def: Suppress, client: known, action: Suppress, reason: ReasonDefault, by: -1},
		{name: "default is about addresses", def: Suppress, client: Client{HELO: "x"}, reason: ReasonNoAddress, by: -1},
		{name: "a list needs no address", lists: []l{{Suppress, Enforce, Matched}}, client: Client{HELO: "x"}, action: Suppress, reason: ReasonListed},
		{name: "the first that matches decides", lists: []l{{Offer, Enforce, NoMatch}, {Suppress, Enforce, Matched}, {Offer, Enforce, Matched}}, client: known, action: Suppress, reason: ReasonListed, by: 1},
		{name: "require", lists: []l{{Require, Enforce, Matched}}, client: known, action: Require, reason: ReasonListed},
		{name: "unavailable offer ends the walk", lists: []l{{Offer, Enforce, Unavailable}, {Suppress, Enforce, Matched}}, def: Suppress, client: known, reason: ReasonUnavailable},
		{name: "unavailable require ends the walk", lists: []l{{Require, Enforce, Unavailable}}, def: Suppress, client: known, reason: ReasonUnavailable},
		{name: "unavailable suppress is skipped", lists: []l{{Suppress, Enforce, Unavailable}, {Suppress, Enforce, Matched}}, client: known, action: Suppress, reason: ReasonListed, by: 1},
		{name: "unavailable observing offer is skipped", lists: []l{{Offer, Observe, Unavailable}, {Suppress, Enforce, Matched}}, client: known, action: Suppress, reason: ReasonListed, by: 1},
		{name: "observing lists note and go on", lists: []l{{Suppress, Observe, Matched}, {Offer, Observe, Matched}, {Suppress, Enforce, Matched}}, client: known, action: Suppress, reason: ReasonListed, by: 2, observed: []Action{Suppress, Offer}},
		{name: "all observes", lists: []l{{Suppress, Enforce, Matched}}, mode: Observe, client: known, reason: ReasonObserve, by: -1, observed: []Action{Suppress}},
		{name: "all observes, default", def: Suppress, mode: Observe, client: known, reason: ReasonObserve, by: -1, observed: []Action{Suppress}},
		{name: "all observes an offer", lists: []l{{Offer, Enforce, Matched}}, mode: Observe, client: known, reason: ReasonListed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &Policy{Default: tc.def, Mode: tc.mode}
			for _, l := range tc.lists {
				p.Lists = append(p.Lists, &List{Action: l.action, Mode: l.mode, Source: fixed(l.status)})
			}
			d := p.Decide(t.Context(), tc.client)
			if d.Action != tc.action || d.Reason != tc.reason {
				t.Errorf("got %s by %s, want %s by %s", d.Action, d.Reason, tc.action, tc.reason)
			}
			if tc.by >= 0 && len(tc.lists) > 0 {
				if d.List != p.Lists[tc.by] {
					t.Errorf("decided by %+v, want list %d", d.List, tc.by)
				}
			} else if d.List != nil {
				t.Errorf("decided by %+v, want none", d.List)
			}
			if (d.Entry().Line == 7) != (d.Reason == ReasonListed) {
				t.Errorf("entry %+v with reason %s", d.Entry(), d.Reason)
			}
			var observed []Action
			for _, v := range d.Observed {
				observed = append(observed, v.Action)
			}
			if len(observed) != len(tc.observed) {
				t.Fatalf("observed %v, want %v", observed, tc.observed)
			}
			for i := range observed {
				if observed[i] != tc.observed[i] {
					t.Errorf("observed %v, want %v", observed, tc.observed)
				}
			}
		})
	}
}

// A decision from memory allocates nothing.
func TestDecideAllocatesNothing(t *testing.T) {
	p := &Policy{Lists: []*List{{Action: Offer, Source: fixed(NoMatch)}, {Action: Suppress, Source: &slow{names: true}},
		{Action: Suppress, Source: fixed(Matched)}}, Names: &slow{then: Matched}}
	for name, decide := range map[string]func(){
		"Decide": func() { p.Decide(t.Context(), someone) }, "Review": func() { p.Review(t.Context(), someone) },
		"DecideCached": func() { p.DecideCached(someone) },
	} {
		if n := testing.AllocsPerRun(100, decide); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := &Policy{Default: Suppress}
	for range 5 {
		p.Lists = append(p.Lists, &List{Action: Offer, Source: fixed(NoMatch)})
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(b.Context(), someone)
	}
}

func TestParseAddr(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "IPv6:2001:DB8::1": "2001:db8::1",
		"ipv6:::ffff:192.0.2.1": "192.0.2.1", "fe80::1%eth0": "fe80::1",
		"[192.0.2.1]": "192.0.2.1", "[IPv6:fe80::1%eth0]": "fe80::1",
		"": "", "unknown": "", "192.0.2": "", "192.0.2.1 ": "", "ipv6:": "", "\x00": "", "1%": "", "[]": "", "[": "", "[192.0.2.1": "", "192.0.2.1]": "",
		"[[192.0.2.1]]": "", "IPv6:[::1]": "",
	} {
		a, err := ParseAddr(in)
		b, ok := ParseAddrBytes([]byte(in))
		if (err == nil) != (want != "") || ok != (err == nil) || a != b || ok && a.String() != want {
			t.Errorf("%q: got %v (%v) and %v (%v), want %q", in, a, err, b, ok, want)
		}
	}
	in := []byte("IPv6:2001:db8::1")
	if n := testing.AllocsPerRun(100, func() { ParseAddrBytes(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "IPv6:2001:db8::1", "::ffff:1.2.3.4", "fe80::1%x", "%", "ipv6:", "[IPV6:::1%0]", "[]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		a, err := ParseAddr(string(in))
		b, ok := ParseAddrBytes(in)
		if ok != (err == nil) || ok && a != b {
			t.Fatalf("%q: %v, %v and %v, %v", in, a, err, b, ok)
		}
		if ok && (!a.IsValid() || a.Is4In6() || a.Zone() != "") {
			t.Fatalf("%q: %v is not in normal form", in, a)
		}
	})
}

func TestWords(t *testing.T) {
	for _, a := range []Action{Offer, Suppress, Require} {
		var b Action
		if err := b.UnmarshalText([]byte(a.String())); err != nil || a != b {
			t.Errorf("%s became %s, %v", a, b, err)
		}
	}
	var m Mode
	if err := m.UnmarshalText([]byte("dry-run")); err == nil {
		t.Error("an unknown mode was taken")
	}
}
