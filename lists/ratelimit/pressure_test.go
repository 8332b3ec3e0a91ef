package ratelimit

import (
	"math"
	"testing"
	"time"

	"ehlogate/lists"
)

// Without a fixed rate all are offered STARTTLS, until the pressure sets a rate. Each decision keeps its reason.
func TestPressureRate(t *testing.T) {
	l, c := newLimiter(0, time.Minute)
	for n := range 10_000 {
		if action, reason := l.Decide(hostAddr(n)); action != lists.Offer || reason != lists.ReasonLimit {
			t.Fatalf("client %d: %v, %v without a rate", n, action, reason)
		}
	}
	l.SetPressureRate(4)
	next := 10_000
	offersIn := func(seconds int) (n int) {
		for range seconds * 100 {
			c.advance(10 * time.Millisecond)
			if actionOf(l, hostAddr(next)) == lists.Offer {
				n++
			}
			next++
		}
		return n
	}
	if n := offersIn(10); n < 40 || n > 42 {
		t.Errorf("%d offers in 10 seconds, at 4 a second", n)
	}
	l.SetPressureRate(0)
	c.advance(time.Hour)
	if action, reason := l.LastDecision(hostAddr(next)); action != lists.Suppress || reason != lists.ReasonPressure {
		t.Errorf("a new client would be %v, %v", action, reason)
	}
	l.Charge(hostAddr(1)) // leaves no debt
	if n := offersIn(2); n != 0 {
		t.Errorf("%d offers while none may be made", n)
	}
	refused := hostAddr(next - 1)
	l.SetPressureRate(math.Inf(1))
	if n := offersIn(1); n != 100 {
		t.Errorf("%d of 100 offers without a limit", n)
	}
	for _, decide := range []func() (lists.Action, lists.Reason){
		func() (lists.Action, lists.Reason) { return l.Decide(refused) }, func() (lists.Action, lists.Reason) { return l.LastDecision(refused) },
	} {
		if action, reason := decide(); action != lists.Suppress || reason != lists.ReasonPressure {
			t.Errorf("%v, %v: the client did not keep its decision", action, reason)
		}
	}
	if st := l.Stats(); st.Refused != 1000-st.Offered+10_000+100+200 || st.Exhausted {
		t.Errorf("counted %+v", st)
	}
}

// What was owed at a low rate does not count when there is no limit any more.
func TestNoDebtWithoutLimit(t *testing.T) {
	l, _ := newLimiter(0, time.Minute)
	l.SetPressureRate(1)
	for n := range 3 {
		l.Decide(hostAddr(n))
	}
	l.SetPressureRate(math.Inf(1))
	if got := actionOf(l, hostAddr(9)); got != lists.Offer || l.Stats().Exhausted {
		t.Errorf("%v at once after the limit ended", got)
	}
}

// A client keeps its offer while there is a rate, and none when no offer may be made.
func TestPressureRevokes(t *testing.T) {
	l, _ := newLimiter(0, time.Minute)
	l.Decide(hostAddr(1))
	l.SetPressureRate(1)
	if action, _ := l.Decide(hostAddr(1)); action != lists.Offer {
		t.Error("an offer is not kept at a low rate")
	}
	l.SetPressureRate(0)
	if action, reason := l.Decide(hostAddr(1)); action != lists.Suppress || reason != lists.ReasonPressure || l.Stats().Revoked != 1 {
		t.Errorf("%v, %v, %+v", action, reason, l.Stats())
	}
}

// With a fixed rate, the lower of the two counts, and is the reason.
func TestLowerRate(t *testing.T) {
	for _, tc := range []struct {
		pressure float64
		offers   int
		reason   lists.Reason
	}{{math.Inf(1), 100, lists.ReasonLimit}, {1000, 100, lists.ReasonLimit}, {2, 20, lists.ReasonPressure}, {0, 0, lists.ReasonPressure}} {
		l, c := newLimiter(10, time.Minute)
		l.SetPressureRate(tc.pressure)
		offers := 0
		for n := range 1000 {
			c.advance(10 * time.Millisecond)
			action, reason := l.Decide(hostAddr(n))
			if action == lists.Offer {
				offers++
			} else if reason != tc.reason {
				t.Fatalf("pressure rate %v: reason %v", tc.pressure, reason)
			}
		}
		if offers < tc.offers || offers > tc.offers+3 {
			t.Errorf("pressure rate %v: %d offers in 10 seconds, expected %d", tc.pressure, offers, tc.offers)
		}
	}
}
