package logs

import (
	"fmt"
	"time"

	"ehlogate/lists/maillog/logfile"
)

// Status is the state of one log, in /healthz.
type Status struct {
	Source string    `json:"source"`
	State  string    `json:"state"` // "ok", or "degraded": it cannot be read
	Error  string    `json:"error,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Lag    float64   `json:"lag_seconds"`
}

// IsDegraded reports whether the log cannot be read.
func (s Status) IsDegraded() bool { return s.Error != "" }

// Status returns the state of each log.
func (s *Service) Status() (all []Status) {
	now := s.clock()
	for _, src := range s.sources {
		all = append(all, src.status(now))
	}
	return all
}

func (src *source) status(now time.Time) Status {
	src.mu.Lock()
	defer src.mu.Unlock()
	st := Status{Source: src.name, State: "ok", Lag: src.lag(now).Seconds()}
	switch {
	case !src.busy.IsZero() && now.Sub(src.busy) >= hangTime:
		st.Error, st.Since = fmt.Sprintf("%s: timeout: %s does not respond", src.name, src.busyWith()), src.busy
	case !src.failing.IsZero() && now.Sub(src.failing) >= faultTime:
		st.Error, st.Since = src.err.Error(), src.failing
	}
	if st.IsDegraded() {
		st.State = "degraded"
	}
	return st
}

// busyWith returns what a look waits for.
func (src *source) busyWith() string {
	if src.name == JournalName {
		return "journalctl"
	}
	return "the file system"
}

// lag returns how old the first line may be that was not read.
func (src *source) lag(now time.Time) time.Duration {
	hangs := !src.busy.IsZero() && now.Sub(src.busy) >= hangTime
	if !src.more && src.err == nil && !hangs {
		return 0
	}
	lag := now.Sub(src.caughtUp)
	if src.more && now.Sub(src.newest) > lag && !src.newest.IsZero() { // it was read by an earlier process
		lag = now.Sub(src.newest)
	}
	return max(lag, 0)
}

// position returns up to where the logs were read.
func (s *Service) position() savedState {
	all := savedState{Files: map[string][]logfile.Position{}}
	for _, src := range s.sources {
		src.mu.Lock()
		if src.positions != nil {
			all.Files[src.name] = src.positions
		}
		if src.journal != nil {
			all.Journal = src.journal
		}
		src.mu.Unlock()
	}
	return all
}

// Event is something that the operator should know.
type Event struct {
	Kind   EventKind
	Source string // the log; or the path of the state file
	Err    error
	Stack  []byte
}

// EventKind is a kind of Event.
type EventKind string

const (
	// Unreadable: a log cannot be read, because of Err. Not repeated until it can.
	Unreadable EventKind = "unreadable"
	// Readable: it can be read again.
	Readable EventKind = "readable"
	// LinesLost: a log, or the journal, does not have the part after the last line that was read any more.
	LinesLost EventKind = "lines lost"
	// LinesDropped: more lines came in datagrams than can be read.
	LinesDropped EventKind = "lines dropped"
	// ServerTrouble: a mail server says that its own TLS does not work, whichever the client.
	ServerTrouble EventKind = "server trouble"
	// Panicked: a line was not read because of a mistake in this program.
	Panicked EventKind = "panicked"
	// StateInvalid: the state file cannot be used, because of Err. The logs are read from their end on.
	StateInvalid EventKind = "state invalid"
	// StateNotWritten: the state file cannot be written, because of Err. Not repeated until it can.
	StateNotWritten EventKind = "state not written"
)
