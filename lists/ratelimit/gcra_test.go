package ratelimit

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ehlogate/lists"
)

// settable is a clock that the test sets.
type settable struct {
	mu  sync.Mutex
	now time.Time
}

func (c *settable) currentTime() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *settable) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newLimiter(rate float64, keep time.Duration) (*Limiter, *settable) {
	c := &settable{now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	return New(Rate{OffersPerSecond: rate, Keep: keep}, c.currentTime), c
}

func hostAddr(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, byte(n >> 16), byte(n >> 8), byte(n)})
}

// actionOf decides about a new session.
func actionOf(l *Limiter, addr netip.Addr) lists.Action {
	action, _ := l.Decide(addr)
	return action
}

// lastActionOf reports the last decision.
func lastActionOf(l *Limiter, addr netip.Addr) lists.Action {
	action, _ := l.LastDecision(addr)
	return action
}

// Whatever the load and whatever clients come, offers stay at the rate: never above it by more than 5 % in a minute,
// and not below it while there is demand.
func TestRate(t *testing.T) {
	for _, tc := range []struct {
		name    string
		clients int // that come again and again
		load    float64
		keep    time.Duration
	}{
		{"ever new clients, ten times the rate", 1 << 20, 10, time.Minute},
		{"few clients, ten times the rate", 300, 10, time.Minute},
		{"one client", 1, 10, time.Minute},
		{"kept for a second", 5000, 100, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const rate, minutes = 50.0, 5
			s, c := newLimiter(rate, tc.keep)
			r := rand.New(rand.NewPCG(1, 2))
			offers := 0
			sessions := int(rate * tc.load * 60 * minutes)
			for range sessions {
				c.advance(time.Duration(r.ExpFloat64() * float64(time.Second) / (rate * tc.load)))
				if actionOf(s, hostAddr(r.IntN(tc.clients))) == lists.Offer {
					offers++
				}
			}
			share := float64(offers) / (rate * 60 * minutes)
			// A client that was suppressed stays so, so a few clients may leave offers unused.
			if share > 1.05 || share < 0.95 && tc.clients > 1000 || offers == 0 {
				t.Errorf("%d offers in %d sessions are %.3f of the rate", offers, sessions, share)
			}
			if st := s.Stats(); st.Offered != uint64(offers) || st.Offered+st.Suppressed != uint64(sessions) {
				t.Errorf("counted %+v", st)
			}
		})
	}
}

func TestBelowTheRateAllAreOffered(t *testing.T) {
	s, c := newLimiter(50, time.Minute)
	for n := range 5000 {
		c.advance(time.Second / 49)
		if actionOf(s, hostAddr(n)) != lists.Offer {
			t.Fatalf("session %d is suppressed", n)
		}
	}
	if st := s.Stats(); st.Suppressed != 0 || st.Exhausted {
		t.Errorf("counted %+v", st)
	}
}

// A rate of less than one a second is one at a time.
func TestSlow(t *testing.T) {
	s, c := newLimiter(0.1, time.Second)
	got := 0
	for n := range 100 {
		if actionOf(s, hostAddr(n)) == lists.Offer {
			got++
		}
		c.advance(time.Second)
	}
	if got != 10 {
		t.Errorf("%d offers in 100 seconds at one in ten", got)
	}
}

func TestKeeps(t *testing.T) {
	s, c := newLimiter(4, time.Minute)
	if got := lastActionOf(s, hostAddr(1)); got != lists.Offer {
		t.Errorf("decided before it came: %v", got)
	}
	first, second := hostAddr(1), hostAddr(2)
	if actionOf(s, first) != lists.Offer || actionOf(s, second) != lists.Suppress {
		t.Fatal("the first is to be offered STARTTLS, the second is not")
	}
	if !s.Stats().Exhausted || lastActionOf(s, hostAddr(3)) != lists.Suppress {
		t.Error("an unknown client would be suppressed now")
	}
	for range 100 { // reports change nothing
		if lastActionOf(s, first) != lists.Offer || lastActionOf(s, second) != lists.Suppress {
			t.Fatal("another decision")
		}
	}
	if actionOf(s, first) != lists.Offer {
		t.Error("the first client pays for the others")
	}
	c.advance(time.Minute)
	if actionOf(s, second) != lists.Suppress {
		t.Error("the second client did not keep its decision")
	}
	c.advance(time.Second)
	if actionOf(s, second) != lists.Offer {
		t.Error("the second client keeps its decision for ever")
	}
	// No client keeps an offer by coming more often than the rate.
	for range 20 {
		actionOf(s, second)
	}
	if got := lastActionOf(s, second); got != lists.Suppress || s.Stats().Revoked != 1 {
		t.Errorf("got %v, %+v", got, s.Stats())
	}
}

func TestIPv6IsA64(t *testing.T) {
	s, _ := newLimiter(1, time.Minute)
	actionOf(s, hostAddr(1))
	actionOf(s, netip.MustParseAddr("2001:db8:0:1::1"))
	if lastActionOf(s, netip.MustParseAddr("2001:db8:0:1::2")) != lists.Suppress {
		t.Error("got another decision for another address of the /64")
	}
	if id := s.recent.hashClient; id(netip.MustParseAddr("2001:db8:0:1::1")) == id(netip.MustParseAddr("2001:db8:0:2::1")) {
		t.Error("another /64 is the same client")
	}
}

func TestManyAtOnce(t *testing.T) {
	s, c := newLimiter(1000, time.Minute)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 20000 {
				actionOf(s, hostAddr(g<<16|n))
				lastActionOf(s, hostAddr(n))
			}
		})
	}
	wg.Go(func() {
		for range 1000 {
			c.advance(time.Millisecond)
		}
	})
	wg.Wait()
	if st := s.Stats(); st.Offered < 250 || st.Offered > 1250+1 || st.Offered+st.Suppressed != 80000 {
		t.Errorf("%+v in a second", st)
	}
}

// Policy and milter report what EHLO did, however long a decision is kept.
func TestLastDecisionWhileKept(t *testing.T) {
	s, c := newLimiter(0.001, 24*time.Hour)
	actionOf(s, hostAddr(1)) // takes the offer
	if actionOf(s, hostAddr(2)) != lists.Suppress {
		t.Fatal("offered")
	}
	c.advance(2 * time.Hour)
	ehlo := actionOf(s, hostAddr(2)) // keeps its decision
	if last := lastActionOf(s, hostAddr(2)); last != ehlo {
		t.Errorf("EHLO: %s, policy reports %s", ehlo, last)
	}
}

// A flood of new addresses evicts no client that was offered STARTTLS.
func TestFloodEvictsNoOffer(t *testing.T) {
	s, c := newLimiter(20, 5*time.Minute)
	var offered []int
	n := 0
	for ; len(offered) < 100; n++ { // ten times the rate
		c.advance(time.Second / 200)
		if actionOf(s, hostAddr(n)) == lists.Offer {
			offered = append(offered, n)
		}
	}
	for range 1_000_000 { // within 100 seconds
		c.advance(100 * time.Microsecond)
		actionOf(s, hostAddr(n))
		n++
	}
	wrong := 0
	for _, i := range offered {
		if lastActionOf(s, hostAddr(i)) != lists.Offer {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("of %d clients that EHLO offered STARTTLS, policy reports of %d that it was hidden", len(offered), wrong)
	}
}

// A client is recorded until its next session is no such offer.
func TestFailOpenLog(t *testing.T) {
	c := &settable{now: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	o := NewFailOpenLog(c.currentTime)
	o.Record(hostAddr(1), false)
	if o.Recorded(hostAddr(1)) {
		t.Error("recorded without an offer")
	}
	o.Record(hostAddr(1), true)
	if !o.Recorded(hostAddr(1)) || o.Recorded(hostAddr(2)) {
		t.Error("not recorded, or another client is")
	}
	c.advance(59 * time.Minute)
	if !o.Recorded(hostAddr(1)) {
		t.Error("forgotten")
	}
	c.advance(2 * time.Minute)
	if o.Recorded(hostAddr(1)) {
		t.Error("recorded for ever")
	}
	o.Record(hostAddr(1), true)
	o.Record(hostAddr(1), false)
	if o.Recorded(hostAddr(1)) {
		t.Error("the last session was no such offer")
	}
}

func TestNoAllocation(t *testing.T) {
	s, _ := newLimiter(10, time.Minute)
	if n := testing.AllocsPerRun(100, func() { actionOf(s, hostAddr(1)); lastActionOf(s, hostAddr(2)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	s := New(Rate{OffersPerSecond: 100, Keep: time.Minute}, time.Now)
	for n := 0; b.Loop(); n++ {
		actionOf(s, hostAddr(n&0xfffff))
	}
}

// Sessions that had to be offered STARTTLS use up offers to others, and when they no longer come, others are offered it
// again.
func TestOffered(t *testing.T) {
	const rate = 20
	s, c := newLimiter(rate, time.Minute)
	offers := func(seconds, forced, from int) (n int) {
		for i := range seconds * 100 {
			c.advance(10 * time.Millisecond)
			if i%100 < forced {
				s.Charge(hostAddr(i))
			}
			if actionOf(s, hostAddr(from+i)) == lists.Offer {
				n++
			}
		}
		return n
	}
	if n := offers(10, 0, 1<<16); n < 10*rate*95/100 || n > 10*rate*105/100 {
		t.Errorf("alone: %d", n)
	}
	if n := offers(10, rate/2, 2<<16); n < 10*rate/2*9/10 || n > 10*rate/2*11/10 {
		t.Errorf("beside half as many as allowed: %d", n)
	}
	if n := offers(10, 100, 3<<16); n > rate/4 {
		t.Errorf("beside five times as many as allowed: %d", n)
	}
	if n := offers(10, 0, 4<<16); n < 8*rate {
		t.Errorf("afterwards: %d", n)
	}
	if st := s.Stats(); st.FailOpen != 10*(rate/2+100) {
		t.Errorf("%+v", st)
	}
}
