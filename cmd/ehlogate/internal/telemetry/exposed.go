package telemetry

import (
	"fmt"
	"time"
)

// exposedFor is for how long a session that submitted mail without TLS is a fault.
const exposedFor = 24 * time.Hour

// Exposed counts sessions that submit mail, by their port or a login, although STARTTLS is hidden from the client: the
// worst misconfiguration, since passwords are sent in the clear.
type Exposed struct {
	Sessions uint64    `json:"sessions"`
	Last     time.Time `json:"last"`   // time of the last session
	Client   string    `json:"client"` // its client address
}

// IsRecent reports whether the last session was within a day, so that the fault may still be there.
func (e *Exposed) IsRecent(now time.Time) bool {
	return e != nil && e.Sessions > 0 && now.Sub(e.Last) < exposedFor
}

// String says what is wrong, for an operator.
func (e *Exposed) String() string {
	return fmt.Sprintf("STARTTLS is hidden from %s, which submitted mail without TLS: passwords are sent in the clear (sessions: %d)", e.Client, e.Sessions)
}

// Exposed returns the sessions that submitted mail without being offered STARTTLS.
func (r *Recorder) Exposed() Exposed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exposed
}
