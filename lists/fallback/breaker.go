package fallback

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// breaker stops learning while so many clients fail that this server may be at fault.
type breaker struct {
	open   bool
	reason string // of the last cause
	since  time.Time
	// closes is when it closes, or closed: what happened before proves nothing.
	closes time.Duration
}

// firstFailure is a client that failed for the first time.
type firstFailure struct {
	addr netip.Addr
	at   time.Duration
}

// breakerNear is how many clients of one network (IPv4 /24, IPv6 /48) count for the breaker: an attacker has all addresses of an
// IPv6 network, and would keep it open. When this server is at fault, clients of many networks fail; where all are of one, the
// first that ever completed TLS makes all of them immune.
const breakerNear = 2

// handshakeSlots is into how many parts the span of the breaker is divided to count handshakes.
const handshakeSlots = 10

// failures has what opens the breaker. It is not stored: after a restart it begins anew.
type failures struct {
	first      []firstFailure // the last ones, no more than open the breaker
	handshakes [handshakeSlots]int
	slot       int64 // number of the newest
}

func (l *Learner) countHandshake(now learnstore.Moment) {
	f := &l.failures
	slot := int64(now.Followed / max(l.options.BreakerSpan/handshakeSlots, 1))
	for ; f.slot < slot; f.slot++ {
		if slot-f.slot > handshakeSlots {
			f.slot = slot - handshakeSlots
		}
		f.handshakes[(f.slot+1)%handshakeSlots] = 0
	}
	f.handshakes[slot%handshakeSlots]++
}

// mayBeOurs reports whether this server can be at fault for a failure. A client that goes away is as a rule a scanner.
func mayBeOurs(s *maillog.Session) bool {
	switch s.Class.String() {
	case "lost-after-starttls", "no-mail-after-starttls", "accept-zero":
		return false
	}
	switch s.Outcome {
	case maillog.OutcomeScanner, maillog.OutcomeTransient, maillog.OutcomeLocal, maillog.OutcomeSubmission:
		return false
	}
	return true
}

// noteFirstFailure takes into account a client that fails for the first time, and opens the breaker if there are too many; of
// those in one network no more than breakerNear count.
func (l *Learner) noteFirstFailure(tx learnstore.Tx, now learnstore.Moment, addr netip.Addr) error {
	o, f := &l.options, &l.failures
	f.first = slices.DeleteFunc(f.first, func(e firstFailure) bool {
		return now.Followed-e.at > o.BreakerSpan || e.at > now.Followed || e.addr == addr
	})
	near := 0
	for i, e := range slices.Backward(f.first) {
		if bytes.Equal(nearKey(e.addr), nearKey(addr)) {
			if near++; near >= breakerNear {
				f.first = slices.Delete(f.first, i, i+1)
			}
		}
	}
	f.first = append(f.first, firstFailure{addr, now.Followed})
	n, handshakes := len(f.first), 0
	for _, count := range f.handshakes {
		handshakes += count
	}
	f.first = f.first[max(0, n-max(o.BreakerClients, o.BreakerMinimum)):]
	if n >= o.BreakerClients || n >= o.BreakerMinimum && float64(n) >= o.BreakerShare*float64(handshakes) {
		return l.openBreaker(tx, now, fmt.Sprintf("%d clients failed for the first time within %s, in %d handshakes", n, formatSpan(o.BreakerSpan), handshakes))
	}
	return nil
}

// openBreaker withdraws the entries of the time in which the cause may have begun.
func (l *Learner) openBreaker(tx learnstore.Tx, now learnstore.Moment, reason string) error {
	b := &l.state.breaker
	wasOpen := b.open
	*b = breaker{true, reason[:min(len(reason), maxText)], now.Wall, now.Followed + l.options.Rest}
	for _, e := range l.sortedEntries() {
		if now.Followed-max(e.made.Followed, e.confirmed.Followed) <= l.options.BreakerSpan {
			if err := l.dropEntry(tx, e, EventWithdrawn, true, "it was made or confirmed shortly before the breaker opened: "+reason); err != nil {
				return err
			}
		}
	}
	if !wasOpen {
		l.notify(Event{Kind: EventBreakerOpen, Warning: true, Until: now.Wall.Add(l.options.Rest), Reason: reason})
	}
	return l.saveState(tx)
}

// closeBreaker closes the breaker when its rest is over.
func (l *Learner) closeBreaker(tx learnstore.Tx, now learnstore.Moment) error {
	b := &l.state.breaker
	if !b.open || now.Followed < b.closes && b.closes-now.Followed <= l.options.Rest {
		return nil
	}
	b.open, b.closes = false, min(b.closes, now.Followed)
	l.notify(Event{Kind: EventBreakerClose, Reason: "no cause since " + b.since.UTC().Format(time.RFC3339)})
	return l.saveState(tx)
}
