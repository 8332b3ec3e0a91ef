package server

import (
	"cmp"
	"slices"
	"time"
)

// idle is a connection, and since when it has been waiting for its client.
type idle struct {
	*conn
	at int64
}

// lookAhead is how many of those who are to leave next are found at a time: to look through all connections for each would
// make a flood of new ones expensive.
const lookAhead = 64

// minIdle is how long a connection must have been idle to give up its file descriptor for another: a client that has just
// been answered may be about to ask again, and would find its connection closed with the question on its way. At the cap
// there is no such mercy: somebody has to go.
const minIdle = 100 * time.Millisecond

// oldest returns, of the connections that wait in Read, the one whose client was heard of the longest ago; nil if none
// waits. Those that have to leave do not count. The lock must be held.
func (s *Server) oldest() *conn {
	for range 2 {
		for _, c := range s.next {
			// One that was heard of since has moved to the end of the line; for those that were not, nobody has come before.
			if c.cutter == nil && c.heard.Load() == c.at {
				return c.conn
			}
			s.next = s.next[1:]
		}
		s.next = s.waiting()
	}
	return nil
}

// waiting returns the connections that have been waiting in Read for the longest.
func (s *Server) waiting() []idle {
	all := make([]idle, 0, len(s.conns))
	for c := range s.conns {
		if at := c.heard.Load(); c.cutter == nil && at > 0 {
			all = append(all, idle{c, at})
		}
	}
	slices.SortFunc(all, func(a, b idle) int { return cmp.Compare(a.at, b.at) })
	return slices.Clone(all[:min(len(all), lookAhead)])
}

// longestBusy returns, of the connections that do not wait in Read, the one whose client was heard of the longest ago. The lock
// must be held.
func (s *Server) longestBusy() (busy *conn) {
	var busyAt int64
	for c := range s.conns {
		if at := c.heard.Load(); c.cutter == nil && at < 0 && (busy == nil || at > busyAt) {
			busy, busyAt = c, at
		}
	}
	return busy
}

// evictIdle makes the connection leave that has been idle for the longest, if there is one that does nothing else.
func (s *Server) evictIdle() {
	s.mu.Lock()
	c := s.oldest()
	if c != nil {
		// Since it was found idle its client may have asked: then this is negative.
		if at := c.heard.Load(); at < 0 || time.Since(s.zero)-time.Duration(at) < minIdle {
			c = nil
		} else {
			s.drain(c, time.Now())
		}
	}
	s.mu.Unlock()
	if c != nil {
		s.OnFault("evicted")
	}
}
