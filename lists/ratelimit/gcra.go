// Package ratelimit limits how often unknown clients are offered STARTTLS: clients on no list, when there are more of
// them than the server wants handshakes for. The rate is fixed, or set by the CPU pressure of the machine, or the lower of
// the two.
//
// The limit is the generic cell rate algorithm (GCRA, ITU-T I.371): there are no windows, each with a burst of offers
// at its start, and when load falls, offers are made again as they fall due. A client keeps its decision for a while,
// counted from when it was made, so that a client that comes again gets the same answer, and policy and milter, which
// are queried later in a session, report what EHLO said. There is one exception, since the rate comes first: each
// session of a client that was offered STARTTLS counts as an offer, and when such sessions alone exceed the rate by
// more than a second's worth, the next such client is suppressed, and keeps that.
package ratelimit

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"ehlogate/lists"
)

type Rate struct {
	OffersPerSecond float64       // to clients on no list; 0: no fixed rate
	Keep            time.Duration // for which a client keeps its decision, or up to a second longer; at least a second
}

// Stats are counts since the start.
type Stats struct {
	Offered    uint64 `json:"offered"`    // sessions
	Suppressed uint64 `json:"suppressed"` // sessions
	// Refused are clients that were suppressed because of CPU pressure. Each may have come in several sessions.
	Refused uint64 `json:"refused_by_pressure"`
	// Revoked are those of the suppressed sessions whose client was offered STARTTLS shortly before: such clients alone
	// exceeded the rate.
	Revoked uint64 `json:"revoked"`
	// FailOpen are further sessions that were offered STARTTLS because an offer list was unavailable. They use up
	// offers to others.
	FailOpen uint64 `json:"fail_open"`
	// Exhausted: a new client would be suppressed now.
	Exhausted bool `json:"exhausted"`
}

// Limiter decides about unknown clients. It is safe for concurrent use, and neither allocates nor locks.
type Limiter struct {
	rate     Rate
	fixed    int64        // interval of Rate.OffersPerSecond
	pressure atomic.Int64 // interval that the CPU pressure allows

	// nextDue is when the next offer is due if all so far are made one by one, in ns of the clock (the theoretical
	// arrival time of GCRA). It never decreases, and each offer adds the interval of its time.
	nextDue atomic.Int64
	clock   clock
	recent  recentDecisions

	offered, suppressed, revoked, refused, failOpen atomic.Uint64
}

var _ lists.Limiter = (*Limiter)(nil)

// Intervals are the ns between two offers (the emission interval of GCRA). Two of them are special.
const (
	unlimited int64 = 0
	never     int64 = math.MaxInt64
)

const (
	burst       = int64(time.Second / 4) // ns of offers that may be made at once (the tolerance of GCRA), at least one offer
	repeatBurst = int64(time.Second)     // the same for clients that have been offered STARTTLS, in addition
	// reportTime is how long a decision is kept for policy and milter, which report it.
	reportTime = time.Hour
)

// New returns a Limiter that has made no offer yet. If the clock goes back, time stands still for the Limiter.
func New(r Rate, now func() time.Time) *Limiter {
	l := &Limiter{rate: r, fixed: toInterval(r.OffersPerSecond), clock: clock{wall: now, start: now()}, recent: recentDecisions{seed: maphash.MakeSeed()}}
	if r.OffersPerSecond == 0 {
		l.fixed = unlimited
	}
	return l
}

// toInterval returns the interval of a rate; infinity is no limit, 0 is no offer.
func toInterval(offersPerSecond float64) int64 {
	switch {
	case math.IsInf(offersPerSecond, 1):
		return unlimited
	case offersPerSecond == 0:
		return never
	}
	return max(int64(float64(time.Second)/offersPerSecond), 1)
}

func (l *Limiter) Rate() Rate { return l.rate }

// SetPressureRate sets how many offers a second the CPU pressure allows: infinity before the first call.
func (l *Limiter) SetPressureRate(offersPerSecond float64) {
	l.pressure.Store(toInterval(offersPerSecond))
}

// interval returns the interval now, and what sets it.
func (l *Limiter) interval() (int64, lists.Reason) {
	if p := l.pressure.Load(); p > l.fixed {
		return p, lists.ReasonPressure
	}
	return l.fixed, lists.ReasonLimit
}

// Decide implements [lists.Limiter]: each call is a session.
func (l *Limiter) Decide(addr netip.Addr) (lists.Action, lists.Reason) {
	id := l.recent.hashClient(addr)
	interval, reason := l.interval()
	charged := false
	for {
		due, now := l.readState()
		last := l.recent.lookup(id)
		known := last.isWithin(l.rate.Keep, now)
		if known && last.action() == lists.Suppress {
			l.suppressed.Add(1)
			return lists.Suppress, last.reason()
		}
		tolerance := max(burst, interval)
		if known {
			tolerance += max(repeatBurst, interval)
		}
		next := newRecord(id, lists.Suppress, reason, now)
		if charged = charged || l.tryCharge(due, now, interval, tolerance); charged {
			next = newRecord(id, lists.Offer, lists.ReasonLimit, now)
		}
		keeps := known && next.action() == lists.Offer
		if !keeps && !l.recent.replace(id, last, next, now) {
			continue // another session of the client was decided meanwhile, and that decision counts
		}
		if next.action() == lists.Offer {
			l.offered.Add(1)
			return lists.Offer, lists.ReasonLimit
		}
		l.suppressed.Add(1)
		if known {
			l.revoked.Add(1)
		}
		if reason == lists.ReasonPressure {
			l.refused.Add(1)
		}
		return lists.Suppress, reason
	}
}

// Charge implements [lists.Limiter]. Such a client cannot be refused, but while they come, others are offered less;
// once they no longer come, for at most as long as after a burst.
func (l *Limiter) Charge(netip.Addr) {
	l.failOpen.Add(1)
	interval, _ := l.interval()
	if interval == never {
		return // no other is offered anything
	}
	for {
		due, now := l.readState()
		next := max(due, min(max(due, now)+interval, now+max(burst, interval)+max(repeatBurst, interval)))
		if l.nextDue.CompareAndSwap(due, next) {
			return
		}
	}
}

// LastDecision implements [lists.Limiter].
func (l *Limiter) LastDecision(addr netip.Addr) (lists.Action, lists.Reason) {
	due, now := l.readState()
	if last := l.recent.lookup(l.recent.hashClient(addr)); last.isWithin(l.rate.Keep+reportTime, now) {
		return last.action(), last.reason()
	}
	if interval, reason := l.interval(); isExhausted(due, now, interval, max(burst, interval)) {
		return lists.Suppress, reason
	}
	return lists.Offer, lists.ReasonLimit
}

func (l *Limiter) Stats() Stats {
	due, now := l.readState()
	interval, _ := l.interval()
	return Stats{Offered: l.offered.Load(), Suppressed: l.suppressed.Load(), Revoked: l.revoked.Load(), Refused: l.refused.Load(), FailOpen: l.failOpen.Load(),
		Exhausted: isExhausted(due, now, interval, max(burst, interval))}
}

// readState returns nextDue, and a time that is no earlier than the one by which that was set. So a goroutine that is
// suspended between the two reads never takes the debt for less than it is.
func (l *Limiter) readState() (due, now int64) {
	due = l.nextDue.Load()
	return due, l.clock.elapsed()
}

// isExhausted reports whether another offer would be ahead of the rate by more than tolerance. due and now are from
// readState.
func isExhausted(due, now, interval, tolerance int64) bool {
	switch interval {
	case unlimited: // what was owed at a lower rate no longer counts
		return false
	case never:
		return true
	}
	return max(due, now)+interval > now+tolerance
}

// tryCharge makes an offer, unless that is ahead of the rate by more than tolerance. due and now are from readState.
func (l *Limiter) tryCharge(due, now, interval, tolerance int64) bool {
	for !isExhausted(due, now, interval, tolerance) {
		if l.nextDue.CompareAndSwap(due, max(due, now)+interval) {
			return true
		}
		due, now = l.readState()
	}
	return false
}
