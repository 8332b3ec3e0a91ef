package maillog

import (
	"net/netip"
	"time"
)

// A client that fails in two ways within this time tries ways of TLS: it is a scanner, such as the tests of internet.nl. A
// client that cannot do TLS fails in one way, minutes to hours apart.
const scannerSpan = time.Minute

const (
	maxHeld    = 1 << 16 // sessions that wait for scannerSpan
	maxFailing = 16      // of one client, that are compared with a new one
)

// scanners holds sessions for scannerSpan of the log's time, and marks those of scanners.
type scanners struct {
	emit   func(*Session)
	held   []*heldSession // a ring
	head   int
	length int
	failed map[netip.Addr][]*heldSession // of those that are held
	free   []*heldSession                // that were handed out, to be used again
}

// heldSession is a session that waits.
type heldSession struct {
	Session
	seen stamp // last, by the clock of the Reader
}

func newScanners(emit func(*Session)) *scanners {
	return &scanners{emit: emit, failed: map[netip.Addr][]*heldSession{}}
}

// newSession returns a session for add. Its content is undefined.
func (s *scanners) newSession() *heldSession {
	if last := len(s.free) - 1; last >= 0 {
		n := s.free[last]
		s.free = s.free[:last]
		return n
	}
	return &heldSession{}
}

func (s *scanners) add(n *heldSession) {
	if s.length >= maxHeld {
		s.pop()
	}
	if s.length == len(s.held) {
		grown := make([]*heldSession, max(64, 2*len(s.held)))
		for i := range s.length {
			grown[i] = s.held[(s.head+i)%len(s.held)]
		}
		s.held, s.head = grown, 0
	}
	s.held[(s.head+s.length)%len(s.held)] = n
	s.length++
	if n.TLS != TLSFailed || n.Outcome == OutcomeLocal || n.Class == classRefused { // which is no handshake
		return
	}
	earlier := s.failed[n.Addr]
	earlier = earlier[max(0, len(earlier)-maxFailing):]
	for _, e := range earlier {
		if e.Class != n.Class && !e.End.IsZero() && n.seen-e.seen <= int64(scannerSpan) {
			e.Outcome, n.Outcome = OutcomeScanner, OutcomeScanner
		}
	}
	s.failed[n.Addr] = append(earlier, n)
}

// release hands out the sessions that ended scannerSpan ago.
func (s *scanners) release(now stamp) {
	for s.length > 0 {
		if h := s.held[s.head]; !h.End.IsZero() && now-h.seen <= int64(scannerSpan) {
			return
		}
		s.pop()
	}
}

func (s *scanners) flush() {
	for s.length > 0 {
		s.pop()
	}
}

func (s *scanners) pop() {
	n := s.held[s.head]
	s.held[s.head] = nil
	s.head = (s.head + 1) % len(s.held)
	s.length--
	if failed := s.failed[n.Addr]; len(failed) > 0 && failed[0] == n {
		if len(failed) == 1 {
			delete(s.failed, n.Addr)
		} else {
			s.failed[n.Addr] = failed[1:]
		}
	}
	s.emit(&n.Session)
	s.free = append(s.free, n)
}
