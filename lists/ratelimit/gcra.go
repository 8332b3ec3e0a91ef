// Package ratelimit limits how often unknown clients are offered STARTTLS: clients on no list, when there are more of
// them than the server wants handshakes for.
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
	"net/netip"
	"sync/atomic"
	"time"

	"ehlogate/lists"
)

type Rate struct {
	OffersPerSecond float64       // to clients on no list; more than 0
	Keep            time.Duration // for which a client keeps its decision, or up to a second longer; at least a second
}

// Stats are counts since the start.
type Stats struct {
	Offered    uint64 `json:"offered"`    // sessions
	Suppressed uint64 `json:"suppressed"` // sessions
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
	rate        Rate
	interval    int64 // ns between two offers (the emission interval of GCRA)
	burst       int64 // ns of offers that may be made at once (its tolerance)
	repeatBurst int64 // the same for clients that have been offered STARTTLS, in addition

	// nextDue is when the next offer is due if all so far are made one by one, in ns of the clock (the theoretical
	// arrival time of GCRA). It never decreases, and each offer adds interval.
	nextDue atomic.Int64
	clock   clock
	recent  recentDecisions

	offered, suppressed, revoked, failOpen atomic.Uint64
}

var _ lists.Limiter = (*Limiter)(nil)

const (
	burst       = time.Second / 4
	repeatBurst = time.Second
	// reportTime is how long a decision is kept for policy and milter, which report it.
	reportTime = time.Hour
)

// New returns a Limiter that has made no offer yet. If the clock goes back, time stands still for the Limiter.
func New(r Rate, now func() time.Time) *Limiter {
	interval := max(int64(float64(time.Second)/r.OffersPerSecond), 1)
	return &Limiter{
		rate:        r,
		interval:    interval,
		burst:       max(int64(burst), interval),
		repeatBurst: max(int64(repeatBurst), interval),
		clock:       clock{wall: now, start: now()},
		recent:      recentDecisions{seed: maphash.MakeSeed()},
	}
}

func (l *Limiter) Rate() Rate { return l.rate }

// Decide implements [lists.Limiter]: each call is a session.
func (l *Limiter) Decide(addr netip.Addr) lists.Action {
	id := l.recent.hashClient(addr)
	charged := false
	for {
		due, now := l.readState()
		last := l.recent.lookup(id)
		known := last.isWithin(l.rate.Keep, now)
		if known && last.action() == lists.Suppress {
			l.suppressed.Add(1)
			return lists.Suppress
		}
		tolerance := l.burst
		if known {
			tolerance += l.repeatBurst
		}
		action := lists.Suppress
		if charged = charged || l.tryCharge(due, now, tolerance); charged {
			action = lists.Offer
		}
		keeps := known && action == lists.Offer
		if !keeps && !l.recent.replace(id, last, newRecord(id, action, now), now) {
			continue // another session of the client was decided meanwhile, and that decision counts
		}
		if action == lists.Offer {
			l.offered.Add(1)
			return action
		}
		l.suppressed.Add(1)
		if known {
			l.revoked.Add(1)
		}
		return action
	}
}

// Charge implements [lists.Limiter]. Such a client cannot be refused, but while they come, others are offered less;
// once they no longer come, for at most as long as after a burst.
func (l *Limiter) Charge(netip.Addr) {
	l.failOpen.Add(1)
	for {
		due, now := l.readState()
		next := max(due, min(max(due, now)+l.interval, now+l.burst+l.repeatBurst))
		if l.nextDue.CompareAndSwap(due, next) {
			return
		}
	}
}

func (l *Limiter) LastDecision(addr netip.Addr) lists.Action {
	due, now := l.readState()
	if last := l.recent.lookup(l.recent.hashClient(addr)); last.isWithin(l.rate.Keep+reportTime, now) {
		return last.action()
	}
	if l.isExhausted(due, now, l.burst) {
		return lists.Suppress
	}
	return lists.Offer
}

func (l *Limiter) Stats() Stats {
	due, now := l.readState()
	return Stats{Offered: l.offered.Load(), Suppressed: l.suppressed.Load(), Revoked: l.revoked.Load(), FailOpen: l.failOpen.Load(),
		Exhausted: l.isExhausted(due, now, l.burst)}
}

// readState returns nextDue, and a time that is no earlier than the one by which that was set. So a goroutine that is
// suspended between the two reads never takes the debt for less than it is.
func (l *Limiter) readState() (due, now int64) {
	due = l.nextDue.Load()
	return due, l.clock.elapsed()
}

// isExhausted reports whether another offer would be ahead of the rate by more than tolerance. due and now are from
// readState.
func (l *Limiter) isExhausted(due, now, tolerance int64) bool {
	return max(due, now)+l.interval > now+tolerance
}

// tryCharge makes an offer, unless that is ahead of the rate by more than tolerance. due and now are from readState.
func (l *Limiter) tryCharge(due, now, tolerance int64) bool {
	for !l.isExhausted(due, now, tolerance) {
		if l.nextDue.CompareAndSwap(due, max(due, now)+l.interval) {
			return true
		}
		due, now = l.readState()
	}
	return false
}
