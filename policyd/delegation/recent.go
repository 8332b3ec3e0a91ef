package delegation

import "sync"

// maxRecent is how many sessions are remembered, also after the end of their connection.
const maxRecent = 256

// recentSessions has the last session of each of the last connections, if an outcome of it was reported. A connection has a
// place of its own there until so many others have come, so that a session costs no allocation and no search.
type recentSessions struct {
	mu          sync.Mutex
	connections uint64 // so far
	places      [maxRecent]recentSession
	next        int // the place that is taken next
}

type recentSession struct {
	connection uint64 // 0: none
	session
}

// addConnection returns a number for a new connection.
func (r *recentSessions) addConnection() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connections++
	return r.connections
}

// take returns the session with key k that was stored last, and forgets it; ok is false if there is none.
func (r *recentSessions) take(k key) (s session, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.places {
		p := &r.places[(r.next+maxRecent-1-i)%maxRecent]
		if p.connection != 0 && p.key == k && p.isReported() {
			s, p.session = p.session, session{}
			return s, true
		}
	}
	return s, false
}

// store stores the present session of a connection, in its place. It returns the place for the next call, which is -1 at
// first.
func (r *recentSessions) store(connection uint64, place int, s *session) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if place < 0 || r.places[place].connection != connection {
		place = r.next
		r.next = (place + 1) % maxRecent
	}
	r.places[place] = recentSession{connection, *s}
	return place
}

// forget forgets the session of a connection that is in a place.
func (r *recentSessions) forget(connection uint64, place int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := &r.places[place]; p.connection == connection {
		p.session = session{}
	}
}
