package server

import (
	"cmp"
	"slices"
	"syscall"
	"time"
)

// idleConn is a connection that is idle, and its lastRead.
type idleConn struct {
	*conn
	since int64
}

// evictBatch is how many connections to evict are found at a time. A search through all connections for each would make
// a flood of new ones expensive.
const evictBatch = 64

// minIdle is how long a connection must have been idle to be closed for its file descriptor. The next request of a client
// that was just answered may be on its way, and would be lost. At the cap this does not count: one connection must go.
const minIdle = 100 * time.Millisecond

// longestIdle returns the connection that has been idle for the longest time and is not draining; nil if none is idle.
// The caller holds the lock.
func (s *Server) longestIdle() *conn {
	for range 2 {
		for _, c := range s.candidates {
			// Activity since moved the connection to the end of the order; without, no other was idle for longer.
			if c.closeTimer == nil && c.conn.lastRead.Load() == c.since {
				return c.conn
			}
			s.candidates = s.candidates[1:]
		}
		s.candidates = s.idleConns()
	}
	return nil
}

// idleConns returns the connections that have been idle for the longest time, at most evictBatch, longest first.
func (s *Server) idleConns() []idleConn {
	all := make([]idleConn, 0, len(s.conns))
	for c := range s.conns {
		if at := c.lastRead.Load(); c.closeTimer == nil && at > 0 {
			all = append(all, idleConn{c, at})
		}
	}
	slices.SortFunc(all, func(a, b idleConn) int { return cmp.Compare(a.since, b.since) })
	return slices.Clone(all[:min(len(all), evictBatch)])
}

// longestBusy returns the connection whose handler has been busy for the longest time and that is not draining. The
// caller holds the lock.
func (s *Server) longestBusy() (busy *conn) {
	var busyAt int64
	for c := range s.conns {
		if at := c.lastRead.Load(); c.closeTimer == nil && at < 0 && (busy == nil || at > busyAt) {
			busy, busyAt = c, at
		}
	}
	return busy
}

// evictIdle drains the connection that has been idle for the longest time, if it has been idle for minIdle.
func (s *Server) evictIdle() {
	s.mu.Lock()
	c := s.longestIdle()
	if c != nil {
		// A request may have come since the search: then lastRead is negative, or, on a busy machine, its handler has not run yet.
		if at := c.lastRead.Load(); at < 0 || c.hasRequest() || time.Since(s.epoch)-time.Duration(at) < minIdle {
			c = nil
		} else {
			s.drainConn(c, time.Now())
		}
	}
	s.mu.Unlock()
	if c != nil {
		s.OnFault("evicted")
	}
}

// hasRequest reports whether the client has sent something that was not read yet.
func (c *conn) hasRequest() (has bool) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) { // fails only if the connection is closed
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		has = err == nil && n > 0
	})
	return has
}
