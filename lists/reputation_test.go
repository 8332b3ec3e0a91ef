package lists

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a source that knows after a while, and counts how often it is asked.
type slow struct {
	after time.Duration
	then  Status
	stale Status // what counts at the end if it is still pending; NoMatch: nothing does
	names bool   // it uses names

	asked   int
	charged int
	ready   chan struct{}
	saw     Client
}

func (s *slow) UsesNames() bool { return s.names }

func (s *slow) status() (Status, []<-chan struct{}) {
	s.asked++
	if s.after == 0 {
		return s.then, nil
	}
	if s.ready == nil {
		s.ready = make(chan struct{})
		time.AfterFunc(s.after, func() { close(s.ready) })
	}
	select {
	case <-s.ready:
		return s.then, nil
	default:
		return Pending, []<-chan struct{}{s.ready}
	}
}

func (s *slow) Lookup(c Client) Match {
	s.saw = c
	status, ready := s.status()
	if s.names && c.NameStatus == Pending {
		status = Pending
	}
	return Match{Status: status, By: fixed(Matched), ID: 7, Ready: ready}
}

func (s *slow) LookupTurn(c Client, t Turn) Match {
	m := s.Lookup(c)
	if m.Status == Pending && t == Last && s.stale != NoMatch {
		m.Status = s.stale
	}
	return m
}

func (s *slow) Verify(_ netip.Addr, t Turn) NameMatch {
	status, ready := s.status()
	m := NameMatch{Name: "mail.example", Status: status, Ready: ready}
	if m.Status == Pending && t == Last && s.stale != NoMatch {
		m.Status = s.stale
	}
	return m
}

func (s *slow) Active() bool                             { return s.then == Matched }
func (s *slow) Decide(netip.Addr) (Action, Reason)       { s.asked++; return Suppress, ReasonLimit }
func (s *slow) LastDecision(netip.Addr) (Action, Reason) { return Suppress, ReasonLimit }
func (s *slow) Charge(netip.Addr)                        { s.charged++ }

var someone = Client{Addr: netip.MustParseAddr("192.0.2.1")}

func TestWait(t *testing.T) {
	const wait = 300 * time.Millisecond
	for _, tc := range []struct {
		name   string
		lists  []*List
		def    Action
		action Action
		reason Reason
		took   time.Duration
	}{
		{name: "known at once", lists: []*List{{Action: Suppress, Source: &slow{then: Matched}}}, action: Suppress, reason: ReasonListed},
		{name: "known in time", lists: []*List{{Action: Suppress, Source: &slow{after: wait / 3, then: Matched}}}, action: Suppress, reason: ReasonListed, took: wait / 3},
		{name: "not known in time", lists: []*List{{Action: Suppress, Source: &slow{after: 2 * wait, then: Matched}}}, reason: ReasonDefault, took: wait},
		{name: "an offer list not known in time", lists: []*List{{Action: Offer, Source: &slow{after: 2 * wait, then: NoMatch}}}, def: Suppress, reason: ReasonUnavailable, took: wait},
		{name: "an offer list known in time", lists: []*List{{Action: Offer, Source: &slow{after: wait / 2, then: NoMatch}}}, def: Suppress, action: Suppress, reason: ReasonDefault, took: wait / 2},
		{name: "two at a time", lists: []*List{{Action: Suppress, Source: &slow{after: wait / 2, then: NoMatch}}, {Action: Suppress, Source: &slow{after: wait / 2, then: Matched}}},
			action: Suppress, reason: ReasonListed, took: wait / 2},
		{name: "three offer lists at a time", lists: []*List{{Action: Offer, Source: &slow{after: wait / 2, then: NoMatch}}, {Action: Require, Source: &slow{after: wait / 2, then: Exception}},
			{Action: Offer, Source: &slow{after: wait / 2, then: NoMatch}}}, def: Suppress, action: Suppress, reason: ReasonDefault, took: wait / 2},
		{name: "one wait for all", lists: []*List{{Action: Suppress, Source: &slow{after: 2 * wait}}, {Action: Suppress, Source: &slow{after: 2 * wait, then: Matched}}},
			reason: ReasonDefault, took: wait},
		{name: "no wait for what cannot matter", lists: []*List{{Action: Suppress, Source: fixed(Matched)}, {Action: Offer, Source: &slow{after: wait}}}, action: Suppress, reason: ReasonListed},
		{name: "unavailable is not worth a wait", lists: []*List{{Action: Suppress, Source: fixed(Unavailable)}}, reason: ReasonDefault},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Policy{Lists: tc.lists, Default: tc.def, Wait: wait}
				start := time.Now()
				d := p.Decide(t.Context(), someone)
				if took := time.Since(start); d.Action != tc.action || d.Reason != tc.reason || took != tc.took {
					t.Errorf("%s by %s after %v, want %s by %s after %v", d.Action, d.Reason, took, tc.action, tc.reason, tc.took)
				}
			})
		})
	}
}

// At the end of the wait an answer that is too old counts, of a list and of a name; not before, and not without a wait.
func TestLate(t *testing.T) {
	const wait = 300 * time.Millisecond
	for _, tc := range []struct {
		name   string
		after  time.Duration
		reason Reason
		took   time.Duration
	}{
		{name: "too late", after: 2 * wait, reason: ReasonListed, took: wait},
		{name: "in time", after: wait / 2, reason: ReasonDefault, took: wait / 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Policy{Lists: []*List{{Action: Suppress, Source: &slow{after: tc.after, then: NoMatch, stale: Matched}}}, Wait: wait}
				start := time.Now()
				if d := p.Decide(t.Context(), someone); d.Reason != tc.reason || time.Since(start) != tc.took {
					t.Errorf("got %s after %v, want %s after %v", d.Reason, time.Since(start), tc.reason, tc.took)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		byName := &slow{after: 2 * wait, names: true, then: NoMatch}
		p := &Policy{Lists: []*List{{Action: Suppress, Source: byName}}, Names: &slow{after: 2 * wait, stale: Matched}, Wait: wait}
		if p.Decide(t.Context(), someone); byName.saw.Name != "mail.example" {
			t.Errorf("got the name %q at the end, want the one that is too old", byName.saw.Name)
		}
	})
}

// A decision from the cache starts what it does not know, and neither waits for it nor uses what is too old.
func TestDecideCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, last := &slow{after: time.Hour, stale: Matched}, &slow{after: time.Hour}
		limit := new(slow)
		p := &Policy{Lists: []*List{{Action: Offer, Source: first}, {Action: Suppress, Source: last}}, Limit: limit, Wait: time.Hour}
		start := time.Now()
		for range 2 {
			if d := p.DecideCached(someone); d.Reason != ReasonUnavailable || d.List != p.Lists[0] {
				t.Errorf("got %s by %+v, want unavailable by the first list", d.Reason, d.List)
			}
		}
		if d := p.ReviewCached(someone); d.Reason != ReasonUnavailable {
			t.Errorf("in review: got %s, want unavailable", d.Reason)
		}
		if took := time.Since(start); took != 0 || first.asked != 3 || last.asked != 3 || limit.charged != 2 {
			t.Errorf("after %v: asked %d and %d times, charged %d; want 0, 3, 3, 2", took, first.asked, last.asked, limit.charged)
		}
	})
}

// A client that cannot wait is answered from memory.
func TestNoWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := &slow{after: time.Hour, then: Matched}
	p := &Policy{Lists: []*List{{Action: Offer, Source: src}}, Default: Suppress, Wait: time.Hour}
	if d := p.Decide(ctx, someone); d.Reason != ReasonUnavailable || src.asked != 1 {
		t.Errorf("%s by %s, asked %d times", d.Action, d.Reason, src.asked)
	}
}

// Behind a list that is pending all are asked that may matter, in the order of
// the walk, and none behind one that would end it.
func TestAhead(t *testing.T) {
	const later = time.Hour
	for _, tc := range []struct {
		name  string
		ahead *List // between a list that is pending and one that may be asked
		asked bool
	}{
		{name: "does not hold", ahead: &List{Action: Offer, Source: fixed(NoMatch)}, asked: true},
		{name: "has a hole", ahead: &List{Action: Suppress, Source: fixed(Exception)}, asked: true},
		{name: "holds", ahead: &List{Action: Suppress, Source: fixed(Matched)}},
		{name: "holds, and observes", ahead: &List{Action: Suppress, Mode: Observe, Source: fixed(Matched)}, asked: true},
		{name: "holds, and is held back", ahead: &List{Action: Suppress, External: true, Source: fixed(Matched)}, asked: true},
		{name: "is unavailable and offers", ahead: &List{Action: Offer, Source: fixed(Unavailable)}},
		{name: "is unavailable and suppresses", ahead: &List{Action: Suppress, Source: fixed(Unavailable)}, asked: true},
		{name: "is pending, too", ahead: &List{Action: Offer, Source: &slow{after: later}}, asked: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := &List{Action: Offer, Source: &slow{after: later}}
				last := &slow{after: later, then: Matched}
				p := &Policy{Lists: []*List{first, tc.ahead, {Action: Suppress, Source: last}}, Default: Suppress, Guard: &slow{then: Matched}}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				d := p.Decide(ctx, someone)
				if d.Action != Offer || d.Reason != ReasonUnavailable || d.List != first || len(d.Observed) != 0 {
					t.Errorf("%s by %s, observed %v", d.Action, d.Reason, d.Observed)
				}
				if (last.asked > 0) != tc.asked || last.asked > 1 {
					t.Errorf("the last list was asked %d times", last.asked)
				}
				if d, asked := p.Decide(t.Context(), someone), last.asked; d.List != first || (asked > 0) != tc.asked {
					t.Errorf("with a wait: %s by %s, and the last list was asked %d times", d.Action, d.Reason, asked)
				}
			})
		})
	}
}

// The name is found out beside a list that is pending, too.
func TestNameAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 300 * time.Millisecond
		names := &slow{after: wait / 2, then: Matched}
		byName := &slow{names: true, then: Matched}
		p := &Policy{Lists: []*List{{Action: Offer, Source: &slow{after: wait / 2}}, {Action: Suppress, Source: byName}}, Names: names, Wait: wait}
		start := time.Now()
		d := p.Decide(t.Context(), someone)
		if took := time.Since(start); d.Action != Suppress || byName.saw.Name != "mail.example" || took != wait/2 {
			t.Errorf("%s by %s after %v, and it saw %+v", d.Action, d.Reason, took, byName.saw)
		}
	})
}

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		name   string
		wants  bool
		given  string
		verify Status
		saw    string
		status Status
		asked  int
	}{
		{name: "found out", wants: true, verify: Matched, saw: "mail.example", asked: 1},
		{name: "no list uses it", verify: Matched},
		{name: "given", wants: true, given: "given.example", verify: Matched, saw: "given.example"},
		{name: "has none", wants: true, verify: NoMatch, asked: 1},
		{name: "cannot be found out", wants: true, verify: Unavailable, status: Unavailable, asked: 1},
	} {
		names, first, second := &slow{then: tc.verify}, &slow{names: tc.wants}, &slow{names: tc.wants}
		p := &Policy{Lists: []*List{{Source: first}, {Source: second}}, Names: names}
		c := someone
		c.Name = tc.given
		p.Decide(t.Context(), c)
		for _, s := range []*slow{first, second} {
			if s.saw.Name != tc.saw || s.saw.NameStatus != tc.status || names.asked != tc.asked {
				t.Errorf("%s: saw %+v, asked %d times", tc.name, s.saw, names.asked)
			}
		}
	}
	names := &slow{then: Matched}
	p := &Policy{Lists: []*List{{Source: &slow{names: true}}}, Names: names}
	if p.Decide(t.Context(), Client{HELO: "x"}); names.asked != 0 {
		t.Error("asked for the name of no address")
	}
}

// While a promise stands, only what the operator wrote suppresses.
func TestGuard(t *testing.T) {
	own := &List{Name: "own", Action: Suppress, Source: fixed(Matched)}
	foreign := &List{Name: "foreign", Action: Suppress, Source: fixed(Matched), External: true}
	allow := &List{Name: "allow", Action: Offer, Source: fixed(Matched), External: true}
	require := &List{Name: "require", Action: Require, Source: fixed(Matched), External: true}
	for _, tc := range []struct {
		name       string
		lists      []*List
		def        Action
		shed       Limiter
		free, held Action // without and with a promise
		reason     Reason // with a promise
		back       string // the list that is held back; "default" for none
	}{
		{name: "the operator's own line", lists: []*List{own}, free: Suppress, held: Suppress, reason: ReasonListed},
		{name: "another's", lists: []*List{foreign}, free: Suppress, reason: ReasonDefault, back: "foreign"},
		{name: "another's, and the operator's own behind it", lists: []*List{foreign, own}, free: Suppress, held: Suppress, reason: ReasonListed, back: "foreign"},
		{name: "default", def: Suppress, free: Suppress, reason: ReasonGuard, back: "default"},
		{name: "limit", shed: &slow{}, free: Suppress, reason: ReasonGuard, back: "default"},
		{name: "another's allow list", lists: []*List{allow}, def: Suppress, reason: ReasonListed},
		{name: "another's require list", lists: []*List{require}, free: Require, held: Require, reason: ReasonListed},
	} {
		p := &Policy{Lists: tc.lists, Default: tc.def, Limit: tc.shed}
		if d := p.Decide(t.Context(), someone); d.Action != tc.free || len(d.Observed) != 0 {
			t.Errorf("%s, without a guard: %s", tc.name, d.Action)
		}
		p.Guard = &slow{then: NoMatch}
		if d := p.Decide(t.Context(), someone); d.Action != tc.free || len(d.Observed) != 0 {
			t.Errorf("%s, without a promise: %s", tc.name, d.Action)
		}
		p.Guard = &slow{then: Matched}
		d := p.Decide(t.Context(), someone)
		if d.Action != tc.held || d.Reason != tc.reason {
			t.Errorf("%s, with a promise: %s by %s", tc.name, d.Action, d.Reason)
		}
		back := ""
		for _, v := range d.Observed {
			if back = v.ListName(); back == "" {
				back = "default"
			}
			if !v.Overridden || v.Action != Suppress {
				t.Errorf("%s: %+v is observed", tc.name, v)
			}
		}
		if back != tc.back {
			t.Errorf("%s: %q is held back", tc.name, back)
		}
	}
}

func TestShed(t *testing.T) {
	shed := &slow{}
	p := &Policy{Limit: shed}
	if d := p.Decide(t.Context(), someone); d.Action != Suppress || d.Reason != ReasonLimit || shed.asked != 1 {
		t.Errorf("%s by %s, asked %d times", d.Action, d.Reason, shed.asked)
	}
	if d := p.Review(t.Context(), someone); d.Action != Suppress || d.Reason != ReasonLimit || shed.asked != 1 {
		t.Errorf("in review: %s by %s, asked %d times", d.Action, d.Reason, shed.asked)
	}
	if d := p.Decide(t.Context(), Client{HELO: "x"}); d.Action != Offer || d.Reason != ReasonNoAddress {
		t.Errorf("without an address: %s by %s", d.Action, d.Reason)
	}
	p.Lists = []*List{{Action: Offer, Source: &slow{after: time.Minute, then: Matched}}}
	if p.Decide(t.Context(), someone); shed.asked != 1 {
		t.Error("asked about a client that a list may hold")
	}
}

// An offer for want of knowledge counts against those that the default makes, once a session.
func TestOffersThatTheDefaultDoesNotMake(t *testing.T) {
	shed := &slow{}
	p := &Policy{Limit: shed, Lists: []*List{{Name: "allow", Action: Offer, Source: fixed(Unavailable)}}}
	for range 2 {
		if d := p.Decide(t.Context(), someone); d.Action != Offer || d.Reason != ReasonUnavailable {
			t.Fatal(d.Action, d.Reason)
		}
	}
	p.Review(t.Context(), someone)
	p.Decide(t.Context(), Client{HELO: "x"}) // without an address there is nothing to charge
	if shed.asked != 0 || shed.charged != 2 {
		t.Errorf("asked %d times, told of %d", shed.asked, shed.charged)
	}
}
