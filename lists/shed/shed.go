// Package shed decides about clients that no list holds when there are more of
// them than the server wants handshakes for: so many a second are offered
// STARTTLS, the others are not.
//
// The rate is that of a generic cell (ITU-T I.371): there is no window at whose
// turn offers come in a burst, and when load falls, offers are made again as
// they fall due. A client keeps its answer for a while, so that one that comes
// again is not told now this and now that, and so that policy and milter,
// which are asked later in a session, report what EHLO said.
package shed

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"ehlogate/lists"
)

// Config is [shed].
type Config struct {
	OffersPerSecond float64       // to clients that no list holds; more than 0
	Keep            time.Duration // for which a client keeps its answer; a second at least
}

// State is what was decided so far.
type State struct {
	Offered    uint64 `json:"offered"`    // sessions
	Suppressed uint64 `json:"suppressed"` // sessions
	// Turned are those of them that were suppressed though the client was
	// offered STARTTLS shortly before: such clients alone came too often.
	Turned uint64 `json:"turned"`
	// Unloaded are further sessions that were offered STARTTLS because an allow
	// list could not be asked. They use up offers to others.
	Unloaded uint64 `json:"unloaded"`
	// Shedding: a client that comes now is not offered STARTTLS.
	Shedding bool `json:"shedding"`
}

// Shed decides. It allocates and locks nothing.
type Shed struct {
	config Config
	clock  func() time.Time
	start  time.Time
	gap    int64 // ns between two offers
	burst  int64 // ns of offers that may come at once
	more   int64 // the same, for clients that have been offered STARTTLS

	due    atomic.Int64 // when all offers so far would have been made one by one, ns since start
	memory memory

	offered, suppressed, turned, unloaded atomic.Uint64
}

var _ lists.Default = (*Shed)(nil)

const (
	// burst and more are in seconds: a quarter of the offers of a second may
	// come at once, and a second's worth more to clients that were offered
	// STARTTLS before.
	burst = 0.25
	more  = 1.0
	// report is how long an answer is remembered for those who report on it.
	report = time.Hour
)

// New makes a Shed that has made no offer yet.
func New(c Config, clock func() time.Time) *Shed {
	gap := int64(float64(time.Second) / c.OffersPerSecond)
	return &Shed{
		config: c, clock: clock, start: clock(), gap: max(gap, 1),
		burst:  max(int64(burst*float64(time.Second)), gap),
		more:   max(int64(more*float64(time.Second)), gap),
		memory: memory{seed: maphash.MakeSeed()},
	}
}

// Config is what it was made with.
func (s *Shed) Config() Config { return s.config }

// Ask implements lists.Default: each call is a session.
func (s *Shed) Ask(addr netip.Addr) lists.Action {
	now := s.now()
	id := s.memory.id(addr)
	was, at, known := s.memory.get(id, now)
	known = known && now-at < int64(s.config.Keep)
	tolerance := s.burst
	switch {
	case known && was == lists.Suppress:
		s.suppressed.Add(1)
		return lists.Suppress
	case known:
		tolerance += s.more
	}
	is := lists.Suppress
	if s.take(now, tolerance) {
		is = lists.Offer
		s.offered.Add(1)
	} else {
		s.suppressed.Add(1)
		if known {
			s.turned.Add(1)
		}
	}
	if !known || is != was {
		s.memory.put(id, is, now)
	}
	return is
}

// Offered implements lists.Default. There is no saying no to such a client, but
// while they come, others are offered less; for at most as long as after a burst,
// once they no longer do.
func (s *Shed) Offered(netip.Addr) {
	s.unloaded.Add(1)
	now := s.now()
	for {
		due := s.due.Load()
		ahead := min(s.wait(now, due)+s.gap, s.burst+s.more)
		if s.due.CompareAndSwap(due, now+ahead) {
			return
		}
	}
}

// Told implements lists.Default.
func (s *Shed) Told(addr netip.Addr) lists.Action {
	now := s.now()
	if was, at, known := s.memory.get(s.memory.id(addr), now); known && now-at < int64(s.config.Keep+report) {
		return was
	}
	if s.wait(now, s.due.Load()) > s.burst-s.gap {
		return lists.Suppress
	}
	return lists.Offer
}

// State tells what was decided so far.
func (s *Shed) State() State {
	return State{Offered: s.offered.Load(), Suppressed: s.suppressed.Load(), Turned: s.turned.Load(), Unloaded: s.unloaded.Load(),
		Shedding: s.wait(s.now(), s.due.Load()) > s.burst-s.gap}
}

// now is in ns since start.
func (s *Shed) now() int64 { return int64(s.clock().Sub(s.start)) }

// wait is how far offers are ahead of the rate, in ns.
func (s *Shed) wait(now, due int64) int64 {
	ahead := due - now
	if ahead > s.burst+s.more+s.gap { // the clock was set back
		return 0
	}
	return max(ahead, 0)
}

// take makes an offer, if that puts offers ahead of the rate by no more than
// tolerance.
func (s *Shed) take(now, tolerance int64) bool {
	for {
		due := s.due.Load()
		ahead := s.wait(now, due)
		if ahead > tolerance-s.gap {
			return false
		}
		if s.due.CompareAndSwap(due, now+ahead+s.gap) {
			return true
		}
	}
}
