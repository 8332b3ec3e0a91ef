package delegation

import "sync/atomic"

// maxRecent is how many sessions are remembered, also after the end of their connection.
const maxRecent = 256

// recentSessions has the last connections that remember a session. A connection has a place there until so many others have
// come, so that a session costs no allocation, no search, and no lock that connections share.
type recentSessions struct {
	places [maxRecent]atomic.Pointer[conn]
	next   atomic.Uint32 // the place that is taken next
}

// add gives a connection a place, unless it has one.
func (r *recentSessions) add(c *conn) {
	if r.places[c.place].Load() != c {
		c.place = (r.next.Add(1) - 1) % maxRecent
		r.places[c.place].Store(c)
	}
}

// take returns the session with key k of the connection that was added last, and forgets it; the zero session if there is
// none.
func (r *recentSessions) take(k key) session {
	next := r.next.Load()
	for i := range uint32(maxRecent) {
		if c := r.places[(next-1-i)%maxRecent].Load(); c != nil {
			if s := c.takeRemembered(k); s.isReported() {
				return s
			}
		}
	}
	return session{}
}
