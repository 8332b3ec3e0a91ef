// Package shed decides about clients that no list holds when there are more of
// them than the server wants handshakes for: so many a second are offered
// STARTTLS, the others are not.
//
// The rate is that of a generic cell (ITU-T I.371): there is no window at whose
// turn offers come in a burst, and when load falls, offers are made again as
// they fall due. A client keeps its answer for a while, counted from when it
// was given, and is then asked anew; so one that comes again is not told now this
// and now that, and policy and milter, which are asked later in a session, report
// what EHLO said. There is one exception, since the rate comes first: each session
// of a client that was offered STARTTLS counts as an offer, and when such sessions
// alone exceed the rate by more than a second's worth, the client that comes next
// is suppressed, and keeps that.
package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"ehlogate/lists"
)

// Rate is [limit].
type Rate struct {
	OffersPerSecond float64       // to clients that no list holds; more than 0
	Keep            time.Duration // for which a client keeps its answer, or up to a second longer; a second at least
}

// Stats is what was decided so far.
type Stats struct {
	Offered    uint64 `json:"offered"`    // sessions
	Suppressed uint64 `json:"suppressed"` // sessions
	// Turned are those of them that were suppressed though the client was
	// offered STARTTLS shortly before: such clients alone came too often.
	Turned uint64 `json:"turned"`
	// Unavailable are further sessions that were offered STARTTLS because an allow
	// list could not be asked. They use up offers to others.
	FailOpen uint64 `json:"fail_open"`
	// Exhausted: a client that comes now is not offered STARTTLS.
	Exhausted bool `json:"exhausted"`
}

// Limiter decides. It allocates and locks nothing.
type Limiter struct {
	config Rate
	gap    int64 // ns between two offers
	burst  int64 // ns of offers that may come at once
	more   int64 // the same, for clients that have been offered STARTTLS

	// due is when all offers so far would have been made one by one, in ns of
	// the clock. It never goes back, and every offer moves it on by gap.
	due    atomic.Int64
	clock  clock
	memory recentDecisions

	offered, suppressed, turned, unavailable atomic.Uint64
}

var _ lists.Limiter = (*Limiter)(nil)

const (
	// burst and more are in seconds: a quarter of the offers of a second may
	// come at once, and a second's worth more to clients that were offered
	// STARTTLS before.
	burst = 0.25
	more  = 1.0
	// report is how long an answer is remembered for policy and milter, which
	// report on it.
	report = time.Hour
)

// New returns a Shed that has made no offer yet. The time may go back, in which
// case it stands still for the Shed.
func New(c Rate, now func() time.Time) *Limiter {
	gap := max(int64(float64(time.Second)/c.OffersPerSecond), 1)
	s := &Limiter{
		config: c, gap: gap,
		burst:  max(int64(burst*float64(time.Second)), gap),
		more:   max(int64(more*float64(time.Second)), gap),
		memory: recentDecisions{seed: maphash.MakeSeed()},
	}
	s.clock.begin(now)
	return s
}

// Rate returns what it was made with.
func (s *Limiter) Rate() Rate { return s.config }

// Decide implements lists.Default: each call is a session.
func (s *Limiter) Decide(addr netip.Addr) lists.Action {
	id := s.memory.id(addr)
	charged := false
	for {
		due, now := s.read()
		was := s.memory.find(id)
		known := was.within(s.config.Keep, now)
		if known && was.action() == lists.Suppress {
			s.suppressed.Add(1)
			return lists.Suppress
		}
		tolerance := s.burst
		if known {
			tolerance += s.more
		}
		is := lists.Suppress
		if charged = charged || s.take(due, now, tolerance); charged {
			is = lists.Offer
		}
		if !(known && is == lists.Offer) && !s.memory.replace(id, was, newRecord(id, is, now), now) {
			continue // another session of the client was answered meanwhile, and that answer counts
		}
		if is == lists.Offer {
			s.offered.Add(1)
			return is
		}
		s.suppressed.Add(1)
		if known {
			s.turned.Add(1)
		}
		return is
	}
}

// Charge implements lists.Default. Such a client cannot be refused, but
// while they come, others are offered less; for at most as long as after a burst,
// once they no longer do.
func (s *Limiter) Charge(netip.Addr) {
	s.unavailable.Add(1)
	for {
		due, now := s.read()
		next := max(due, min(max(due, now)+s.gap, now+s.burst+s.more))
		if s.due.CompareAndSwap(due, next) {
			return
		}
	}
}

// LastDecision implements lists.Default.
func (s *Limiter) LastDecision(addr netip.Addr) lists.Action {
	due, now := s.read()
	if was := s.memory.find(s.memory.id(addr)); was.within(s.config.Keep+report, now) {
		return was.action()
	}
	if s.next(due, now) > now+s.burst {
		return lists.Suppress
	}
	return lists.Offer
}

// Stats returns what was decided so far.
func (s *Limiter) Stats() Stats {
	due, now := s.read()
	return Stats{Offered: s.offered.Load(), Suppressed: s.suppressed.Load(), Turned: s.turned.Load(), FailOpen: s.unavailable.Load(),
		Exhausted: s.next(due, now) > now+s.burst}
}

// read returns due, and a time that is no earlier than the one by which due was
// set. So a goroutine that was held up between the two cannot take the debt
// for less, nor for more, than it is.
func (s *Limiter) read() (due, now int64) {
	due = s.due.Load()
	return due, s.clock.now()
}

// next returns what another offer would set due to.
func (s *Limiter) next(due, now int64) int64 { return max(due, now) + s.gap }

// take makes an offer, if that puts offers ahead of the rate by no more than
// tolerance. due and now are from read.
func (s *Limiter) take(due, now, tolerance int64) bool {
	for {
		next := s.next(due, now)
		if next > now+tolerance {
			return false
		}
		if s.due.CompareAndSwap(due, next) {
			return true
		}
		due, now = s.read()
	}
}
