package tlspolicy

import "time"

// Event is something that the operator should know. Which of the fields are set depends on the Kind.
type Event struct {
	Kind       EventKind
	Domain     string
	Mechanism  string // "MTA-STS" or "DANE"
	State      State  // of that mechanism
	Commitment Commitment
	Reason     string    // of the commitment
	Since      time.Time // the first of the checks that failed
	File       string    // the path of the state file
	Err        error
}

type EventKind string

const (
	// CheckFailed: a Mechanism of a Domain could not be checked Since then, because of Err. State is kept. Repeated
	// daily.
	CheckFailed EventKind = "check failed"
	// CheckSucceeded: it could, after a failure, and has this State.
	CheckSucceeded EventKind = "check succeeded"
	// PolicyTesting: the MTA-STS policy of a Domain is in mode testing, which is no commitment yet. Repeated daily.
	PolicyTesting EventKind = "policy testing"
	// CommitmentChanged: a Domain has this Commitment now, or has it for another Reason.
	CommitmentChanged EventKind = "commitment changed"
	// Activated: the Monitor became active because of the Commitment of a Domain, for that Reason, or was active after
	// the first round of checks.
	Activated EventKind = "activated"
	// Deactivated: the Monitor is not active any more, or was not after the first round of checks.
	Deactivated EventKind = "deactivated"
	// FileUnreadable: the state file could not be read, and is not replaced by this Monitor: it may be good.
	FileUnreadable EventKind = "file unreadable"
	// FileInvalid: the state file has no valid state.
	FileInvalid EventKind = "file invalid"
	// FileNotWritten: the state file could not be written. Not repeated until it could.
	FileNotWritten EventKind = "file not written"
)

// alert is a condition that lasts. It is reported when it begins, and daily.
type alert struct{ since, reported time.Time }

// raise notes that the condition holds, and reports whether to report it now.
func (a *alert) raise(now time.Time) bool {
	const daily = 24 * time.Hour
	if a.since.IsZero() {
		a.since = now
	} else if ago := now.Sub(a.reported); 0 <= ago && ago < daily {
		return false
	}
	a.reported = now
	return true
}

// clear notes that the condition does not hold, and reports whether it did.
func (a *alert) clear() bool {
	held := !a.since.IsZero()
	a.since = time.Time{}
	return held
}

// reportCheck reports how the last check of d went. The caller locks.
func (m *Monitor) reportCheck(d *domain, now time.Time) {
	for _, of := range d.mechanisms() {
		e := Event{Kind: CheckSucceeded, Domain: d.name, Mechanism: of.name, State: of.State}
		if of.err == nil {
			if of.failing.clear() {
				m.options.Notify(e)
			}
		} else if of.failing.raise(now) {
			e.Kind, e.Since, e.Err = CheckFailed, of.failing.since, of.err
			m.options.Notify(e)
		}
	}
	if d.mtasts.State != Testing || d.mtasts.commitment(now) != NoCommitment {
		d.testing.clear()
	} else if d.testing.raise(now) {
		m.options.Notify(Event{Kind: PolicyTesting, Domain: d.name})
	}
}

// reportCommitment reports the commitment of d if it, or what it comes from, has changed. The caller locks.
func (m *Monitor) reportCommitment(d *domain, now time.Time) {
	s := d.summarize(now)
	if s == d.reported {
		return
	}
	d.reported = s
	if s.Commitment == Assumed && s.dane != Indeterminate {
		return // a check failed, which is reported
	}
	m.options.Notify(Event{Kind: CommitmentChanged, Domain: d.name, Commitment: s.Commitment, Reason: d.explain(now)})
}

// updateActive finds out whether a domain is committed, and reports it if that has changed; after a round of checks
// also if it never was reported. The caller locks.
func (m *Monitor) updateActive(now time.Time, round bool) {
	committed := m.committedDomain(now)
	active := committed != nil
	changed := m.active.Swap(active) != active
	if !changed && (m.reported || !round) || len(m.domains) == 0 {
		return
	}
	m.reported = true
	e := Event{Kind: Deactivated}
	if active {
		e = Event{Kind: Activated, Domain: committed.name, Reason: committed.explain(now)}
	}
	m.options.Notify(e)
}

// committedDomain returns the first domain with a confirmed commitment, else the first with an assumed one, else nil.
// The caller locks.
func (m *Monitor) committedDomain(now time.Time) (first *domain) {
	for _, d := range m.domains {
		switch d.summarize(now).Commitment {
		case Confirmed:
			return d
		case Assumed:
			if first == nil {
				first = d
			}
		}
	}
	return first
}
