package dnsbl

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/iprev"
	"ehlogate/lists/test/dnsfake"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// real is a client that queries real servers.
type real struct {
	testing.TB
	*Client
	events *dnsfake.Events
}

// newReal makes one that checks its zones often; it runs once run is called.
func newReal(t testing.TB, cfg dnscache.Options, resolvers ...netip.AddrPort) *real {
	resolver := dnsclient.New(dnsclient.Options{Servers: resolvers, Timeout: 250 * time.Millisecond, Tries: 2})
	cfg.CheckInterval, cfg.FirstRetry = 100*time.Millisecond, 50*time.Millisecond
	events := new(dnsfake.Events)
	return &real{t, New(dnscache.New(cfg, time.Now, events.Notify), resolver), events}
}

func (r *real) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.cache.Run(ctx) }()
	r.Cleanup(func() { cancel(); <-done })
}

func (r *real) Stats() stats { return stats{r.Client.Stats(), r.cache.Stats()} }

// ask waits long enough for any answer.
func (r *real) ask(s *List, c lists.Client) lists.Status {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return listtest.Lookup(ctx, s, c).Status
}

func (r *real) want(s *List, want lists.Status, addrs ...string) {
	r.Helper()
	for _, a := range addrs {
		if got := r.ask(s, at(a)); got != want {
			r.Errorf("%s is %s, want %s", a, word(got), word(want))
		}
	}
}

func (r *real) zone() ZoneStats { return r.Stats().Zones[0] }

// until waits for what is to come.
func (r *real) until(what string, is func() bool) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Soon)
	defer cancel()
	if err := testenv.Await(ctx, func() (bool, error) { return is(), nil }); err != nil {
		r.Fatalf("waiting until %s: %v; got %+v", what, err, r.Stats())
	}
}

// vouched waits until a test has begun and was passed, after which what was said
// before counts whatever happens.
func (r *real) vouched() {
	r.Helper()
	tests := r.zone().HealthChecks
	r.until("a test is passed", func() bool { return r.zone().HealthChecks > tests+1 })
}

// believed waits until the first zone is, with such words for why not.
func (r *real) believed(is string, why string) {
	r.Helper()
	r.until(is+" "+why, func() bool { z := r.zone(); return z.State == is && strings.Contains(z.Error, why) })
}

var realEntries = dnstest.Dataset{Zone: "bl.test", Type: "ip4set", Text: ":127.0.0.2:listed\n127.0.0.2\n11.1.1.1 :127.0.0.4:\n11.2.0.0/16\n"}

// rbldnsd serves lists behind unbound: by IPv4, IPv6 and name, with scores.
func TestRbldnsd(t *testing.T) {
	testenv.Needs(t, "rbldnsd", "unbound")
	rbl := dnstest.StartRbldnsd(t, realEntries,
		dnstest.Dataset{Zone: "bl.test", Type: "ip6trie", Text: ":127.0.0.6:listed\n2a00:1::/32\n2a00:2::1\n"},
		dnstest.Dataset{Zone: "names.test", Type: "dnset", Text: ":127.0.0.2:listed\ntest\n.good.example\n"},
		dnstest.Dataset{Zone: "score.test", Type: "ip4set", Text: "127.0.0.2\n11.1.1.1 :127.0.4.60:\n11.1.1.2 :127.0.4.10:\n"})
	unbound := dnstest.StartUnbound(t, rbl.Upstreams()...)
	r := newReal(t, dnscache.Defaults(), unbound.Addr)
	all := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1}}, Threshold: 1})
	only := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1, Answer: filter("127.0.0.4")}}, Threshold: 1})
	score := r.List(Spec{Zones: []Zone{{Domain: NewDomain("score.test", ""), Weight: 1, Answer: filter("127.0.4.N")}, {Domain: NewDomain("bl.test", ""), Weight: -20}}, Threshold: 40})
	names := r.List(Spec{Zones: []Zone{{Domain: NewDomain("names.test", ""), Weight: 1, ByName: true}}, Threshold: 1})
	r.run()
	r.believed("enabled", "")
	r.want(all, lists.Matched, "11.1.1.1", "11.2.3.4", "2a00:1::99", "2a00:2::1")
	r.want(all, lists.NoMatch, "11.1.1.2", "11.3.0.0", "2a00:2::2")
	r.want(only, lists.Matched, "11.1.1.1")
	r.want(only, lists.NoMatch, "11.2.3.4")
	r.want(score, lists.Matched, "11.1.1.1")
	r.want(score, lists.NoMatch, "11.1.1.2", "11.2.0.1", "11.4.0.1")
	for name, want := range map[string]lists.Status{"mail.good.example": lists.Matched, "mail.bad.example": lists.NoMatch, "": lists.NoMatch} {
		if got := r.ask(names, lists.Client{Addr: at("11.1.1.1").Addr, Name: name}); got != want {
			t.Errorf("%s is %s", name, word(got))
		}
	}
	found := score.Lookup(at("11.1.1.1"))
	if e := found.Entry(at("11.1.1.1").Addr); e.Text != "score.test 127.0.4.60 (weight 60), bl.test 127.0.0.4 (weight -20), score 40 of 40" {
		t.Errorf("%+v", e)
	}
	r.events.Expect(t)

	// The whole of it is asked once; what rbldnsd serves then shows only when
	// its TTL is over.
	rbl.Set(t, dnstest.Dataset{Zone: "bl.test", Type: "ip4set", Text: "127.0.0.2\n"})
	r.want(all, lists.Matched, "11.1.1.1")
}

// A list whose operator let it end: rbldnsd serves the zone no longer.
func TestZoneExpires(t *testing.T) {
	testenv.Needs(t, "rbldnsd", "unbound")
	rbl := dnstest.StartRbldnsd(t, realEntries)
	unbound := dnstest.StartUnbound(t, rbl.Upstreams()...)
	r := newReal(t, dnscache.Defaults(), unbound.Addr)
	s := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1}}, Threshold: 1})
	r.run()
	r.believed("enabled", "")
	r.want(s, lists.Matched, "11.1.1.1")
	r.vouched()
	ended := realEntries
	ended.Text = "$TIMESTAMP 2020-01-01:00:00:00 2020-01-02:00:00:00\n" + ended.Text
	rbl.Set(t, ended)
	unbound.Flush(t)
	r.believed("disabled", "")
	r.want(s, lists.Matched, "11.1.1.1")
	r.want(s, lists.Unavailable, "11.1.1.2")
	rbl.Set(t, realEntries)
	unbound.Flush(t)
	r.believed("enabled", "")
	r.want(s, lists.NoMatch, "11.1.1.2")
}

// All that may be wrong with a zone, asked through a resolver and directly.
func TestFaults(t *testing.T) {
	const text = "2.0.0.127 A 127.0.0.2\n1.1.1.11 A 127.0.0.4\n2.0.2.11 A 127.0.0.4\n"
	for _, tc := range []struct {
		name  string
		fault dnstest.Fault
		why   string // the zone is not believed; empty: nothing shows
		raw   bool   // asked without unbound, which repairs it
	}{
		{name: "no answers", fault: dnstest.Fault{Kind: dnstest.Drop}, why: "timeout"},
		{name: "no answers, directly", fault: dnstest.Fault{Kind: dnstest.Drop}, why: "timeout", raw: true},
		{name: "SERVFAIL", fault: dnstest.Fault{Kind: dnstest.ServFail}, why: "servfail"},
		{name: "SERVFAIL, directly", fault: dnstest.Fault{Kind: dnstest.ServFail}, why: "servfail", raw: true},
		{name: "REFUSED, directly", fault: dnstest.Fault{Kind: dnstest.Refused}, why: "refused", raw: true},
		{name: "wildcard", fault: dnstest.Fault{Kind: dnstest.Wildcard}, why: "is listed (127.0.0.2)"},
		{name: "wildcard, directly", fault: dnstest.Fault{Kind: dnstest.Wildcard}, why: "is listed (127.0.0.2)", raw: true},
		{name: "parked", fault: dnstest.Fault{Kind: dnstest.Parked}, why: "answer 192.0.2.1"},
		{name: "error code", fault: dnstest.Fault{Kind: dnstest.ErrorCode}, why: "queried through a public resolver"},
		{name: "truncated", fault: dnstest.Fault{Kind: dnstest.Truncate}},
		{name: "truncated, directly", fault: dnstest.Fault{Kind: dnstest.Truncate}, raw: true},
		{name: "truncated, also by TCP", fault: dnstest.Fault{Kind: dnstest.TruncateAll}, why: "servfail"},
		{name: "truncated, also by TCP, directly", fault: dnstest.Fault{Kind: dnstest.TruncateAll}, why: "truncated (TC), also by TCP", raw: true},
		{name: "cut, directly", fault: dnstest.Fault{Kind: dnstest.Cut}, why: "invalid message", raw: true},
		{name: "no EDNS, directly", fault: dnstest.Fault{Kind: dnstest.FormErr}, raw: true},
		{name: "forged id, directly", fault: dnstest.Fault{Kind: dnstest.WrongID}, raw: true},
		{name: "forged question, directly", fault: dnstest.Fault{Kind: dnstest.WrongQuestion}, raw: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			zone := dnstest.NewZone(t, "bl.test", text)
			server := dnstest.StartServer(t, zone)
			resolver := server.Addr
			if !tc.raw {
				resolver = dnstest.StartUnbound(t, server.Upstreams()...).Addr
			}
			r := newReal(t, dnscache.Defaults(), resolver)
			s := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1}}, Threshold: 1})
			r.run()
			r.believed("enabled", "")
			r.want(s, lists.Matched, "11.1.1.1")
			r.want(s, lists.NoMatch, "11.1.1.2")
			r.vouched()
			server.Fail("bl.test", tc.fault)
			if tc.why == "" {
				r.want(s, lists.Matched, "11.2.0.2")
				r.want(s, lists.NoMatch, "11.2.0.3", "11.2.0.4")
				r.vouched()
				r.believed("enabled", "")
				return
			}
			r.believed("disabled", tc.why)
			r.want(s, lists.Matched, "11.1.1.1")
			r.want(s, lists.NoMatch, "11.1.1.2")
			r.want(s, lists.Unavailable, "11.2.0.2", "11.2.0.3")
			server.Forget()
			for i := range 100 {
				r.want(s, lists.Unavailable, fmt.Sprintf("11.9.0.%d", i))
			}
			if names := server.Names(); slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, ".9.11.") }) {
				t.Errorf("asked %v", names)
			}
			server.Heal()
			if !tc.raw {
				return // what unbound remembers is its own
			}
			r.believed("enabled", "")
			r.want(s, lists.Matched, "11.2.0.2")
			r.want(s, lists.NoMatch, "11.2.0.3")
		})
	}
}

// A reply that is not whole is no proof that a list does not hold a client: the
// client may be on an allow list, and is offered STARTTLS.
func TestNoProofOfAbsence(t *testing.T) {
	for name, kind := range map[string]dnstest.Kind{"truncated": dnstest.TruncateAll, "cut": dnstest.Cut, "cut at a record": dnstest.CutRecord, "lone alias": dnstest.LoneAlias} {
		t.Run(name, func(t *testing.T) {
			server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test", "2.0.0.127 A 127.0.0.2\n1.1.1.11 A 127.0.0.4\n"))
			r := newReal(t, dnscache.Defaults(), server.Addr)
			s := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1}}, Threshold: 1})
			r.run()
			r.believed("enabled", "")
			server.Fail("11.bl.test", dnstest.Fault{Kind: kind})
			p := &lists.Policy{Lists: []*lists.List{{Action: lists.Offer, Source: s}}, Default: lists.Suppress, Wait: 10 * time.Second}
			for _, addr := range []string{"11.1.1.1", "11.1.1.2"} {
				r.want(s, lists.Unavailable, addr)
				if d := p.Decide(t.Context(), at(addr)); d.Action != lists.Offer || d.Reason != lists.ReasonUnavailable {
					t.Errorf("%s: %v, %v", addr, d.Action, d.Reason)
				}
			}
			if st := r.Stats().Zones[0]; st.Failed["malformed"] == 0 || st.Answered != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A zone that takes two seconds is not known in time the first time; later it is.
func TestSlowZone(t *testing.T) {
	server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test", "2.0.0.127 A 127.0.0.2\n1.1.1.11 A 127.0.0.4\n"))
	resolver := dnsclient.New(dnsclient.Options{Servers: []netip.AddrPort{server.Addr}, Timeout: 3 * time.Second})
	r := &real{t, New(dnscache.New(dnscache.Defaults(), time.Now, nil), resolver), nil}
	s := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1}}, Threshold: 1})
	r.run()
	r.believed("enabled", "")
	server.Fail("11.bl.test", dnstest.Fault{Delay: 2 * time.Second})
	p := &lists.Policy{Lists: []*lists.List{{Action: lists.Suppress, Source: s}}, Wait: 50 * time.Millisecond}
	for range 3 {
		if d := p.Decide(t.Context(), at("11.1.1.1")); d.Action != lists.Offer {
			t.Errorf("%+v", d)
		}
	}
	r.until("it is known", func() bool { return p.Decide(t.Context(), at("11.1.1.1")).Action == lists.Suppress })
	if n := server.QueryCount("1.1.1.11.bl.test"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// The resolver dies, hangs, and comes back.
func TestResolverAway(t *testing.T) {
	testenv.Needs(t, "unbound")
	server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test", "2.0.0.127 A 127.0.0.2\n1.1.1.11 A 127.0.0.4\n"),
		dnstest.NewZone(t, "11.in-addr.arpa", "1.1.1 PTR mail.example.test.\n"), dnstest.NewZone(t, "example.test", "mail A 11.1.1.1\n"))
	unbound := dnstest.StartUnbound(t, server.Upstreams()...)
	r := newReal(t, dnscache.Defaults(), unbound.Addr)
	s := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1}}, Threshold: 1})
	names := iprev.New(r.cache, r.resolver)
	r.run()
	name := func(addr string) string {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		name, status := listtest.Verify(ctx, names, netip.MustParseAddr(addr))
		if status == lists.Matched {
			return name
		}
		return word(status)
	}
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for round, fault := range []struct{ begin, end func(testing.TB) }{{unbound.Stop, unbound.Start}, {unbound.Pause, unbound.Resume}} {
		r.believed("enabled", "")
		r.want(s, lists.Matched, "11.1.1.1")
		expect(name("11.1.1.1"), "mail.example.test")
		r.vouched()
		fault.begin(t)
		r.believed("disabled", "")
		r.want(s, lists.Matched, "11.1.1.1")
		r.want(s, lists.Unavailable, "11.1.1.2")
		expect(name("11.1.1.1"), "mail.example.test")
		var wg sync.WaitGroup
		for i := range breaker.MaxFailures {
			wg.Go(func() { expect(name(fmt.Sprintf("11.1.%d.%d", 2+round, i)), "unavailable") })
		}
		wg.Wait()
		r.until("names are away", func() bool { return names.Stats().State == "disabled" })
		fault.end(t)
		r.until("names are back", func() bool { return names.Stats().State == "enabled" })
		expect(name(fmt.Sprintf("11.1.%d.0", 2+round)), "absent")
	}
	r.believed("enabled", "")
	r.want(s, lists.NoMatch, "11.1.1.2")
}

// New clients one after the other, and many at a time, against a real list.
func BenchmarkRbldnsd(b *testing.B) {
	for _, atOnce := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d at once", atOnce), func(b *testing.B) {
			rbl := dnstest.StartRbldnsd(b, realEntries)
			r := newReal(b, dnscache.Defaults(), rbl.Upstreams()[0].Addr)
			s := r.List(Spec{Zones: []Zone{{Domain: NewDomain("bl.test", ""), Weight: 1}}, Threshold: 1})
			r.run()
			r.believed("enabled", "")
			b.SetParallelism(atOnce)
			b.ResetTimer()
			var n atomic.Uint32
			ask := func() {
				i := n.Add(1)
				if status := r.ask(s, lists.Client{Addr: netip.AddrFrom4([4]byte{byte(12 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})}); status != lists.NoMatch {
					b.Error(word(status))
				}
			}
			if atOnce == 1 {
				for range b.N {
					ask()
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						ask()
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
		})
	}
}
