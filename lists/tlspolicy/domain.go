package tlspolicy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Commitment is whether a domain is committed to STARTTLS.
type Commitment string

const (
	// Confirmed: a check found a commitment, and it is published still, or may be in caches.
	Confirmed Commitment = "confirmed"
	// Assumed: it is not known whether there is one.
	Assumed Commitment = "assumed"
	// NoCommitment: there is none.
	NoCommitment Commitment = "none"
)

// State is what a domain publishes by MTA-STS or by DANE, as of the last check that succeeded.
type State string

const (
	Unknown State = "unknown" // no check has succeeded
	None    State = "none"    // MTA-STS: no policy, or one in mode none; DANE: no TLSA records that DNSSEC secures

	// Of MTA-STS alone: the mode of the policy (RFC 8461 section 5).
	Testing State = "testing"
	Enforce State = "enforce"

	// Of DANE alone: an MX host has TLSA records, and DNSSEC secures them, or it is unknown whether it does (RFC 4035
	// section 4.3).
	Secure        State = "secure"
	Indeterminate State = "indeterminate"
)

// commits reports whether senders go by what is published.
func (s State) commits() bool { return s == Enforce || s == Secure || s == Indeterminate }

// record is what is known of one mechanism of a domain, as it stands in the state file.
type record struct {
	State     State       `json:"state"`
	ID        string      `json:"id,omitempty"`       // the id of the MTA-STS policy, or the MX host with TLSA records; "": neither
	Checked   time.Time   `json:"checked,omitzero"`   // the last check that succeeded
	Published publication `json:"published,omitzero"` // the last commitment
}

// savedDomain is what is known of a domain, as it stands in the state file.
type savedDomain struct {
	MTASTS record `json:"mta_sts"`
	DANE   record `json:"dane"`
}

// finding is the result of a check of one mechanism.
type finding struct {
	state   State
	id      string        // as in record; if the check failed, of the policy that is announced
	maxAge  time.Duration // for which senders cache it; 0 for TLSA records, which resolvers alone cache
	renewed bool          // MTA-STS: there is no record, but senders that have the policy in a cache may renew it
}

// maxSavedAge is for how long the state file is believed that there was no commitment.
const maxSavedAge = 24 * time.Hour

// restore takes over what an earlier process saved. If the file does not say how long senders cache a commitment that the
// last check found, MaxAge is no less.
func (r *record) restore(now time.Time) {
	if r.State.commits() && r.Published.Current == nil {
		r.Published.Current = new(r.Published.MaxAge)
	}
	r.Published.adjustClock(now)
	age := now.Sub(r.Checked)
	if r.State == "" || r.commitment(now) == NoCommitment && (age > maxSavedAge || age < -maxSavedAge) {
		r.State, r.ID = Unknown, ""
	}
}

// commitment returns whether senders require STARTTLS of the domain by this mechanism.
//
// Senders with an MTA-STS policy in mode enforce in their cache may go by it for its max_age, whatever is published
// meanwhile (RFC 8461 section 8.3): whether they look for another id before is up to them, until a message would have
// to be bounced (section 5.1). They defer it until then.
func (r *record) commitment(now time.Time) Commitment {
	inForce := r.Published.inForce(now)
	switch {
	case r.State == Unknown || inForce && r.State == Indeterminate:
		return Assumed
	case inForce:
		return Confirmed
	}
	return NoCommitment
}

// mechanism is one way for a domain to be committed: MTA-STS or DANE.
type mechanism struct {
	name string
	record
	err     error // of the last check
	failing alert
}

// update records the result of a check. If that failed, and a policy with another id is announced, what was found before
// is out of date.
func (m *mechanism) update(f finding, err error, now time.Time) {
	if m.err = err; err != nil {
		if f.id != "" && f.id != m.ID && m.State != Enforce {
			m.State = Unknown
		}
		return
	}
	m.State, m.ID, m.Checked = f.state, f.id, now
	id := f.id
	if f.renewed {
		id = m.Published.ID
	}
	m.Published.update(f.renewed || f.state.commits(), id, f.maxAge, now)
}

// domain is what is known of a domain, and when it is checked.
type domain struct {
	name         string
	mtasts, dane mechanism

	begun, checked time.Time // the last check
	next           time.Time // check
	failures       int       // in a row

	reported summary
	testing  alert
}

func newDomain(name string, known savedDomain, now time.Time) *domain {
	d := &domain{name: name, mtasts: mechanism{name: "MTA-STS", record: known.MTASTS}, dane: mechanism{name: "DANE", record: known.DANE}}
	for _, m := range d.mechanisms() {
		m.restore(now)
	}
	d.reported = d.summarize(now)
	return d
}

func (d *domain) mechanisms() [2]*mechanism { return [2]*mechanism{&d.mtasts, &d.dane} }

func (d *domain) saved() savedDomain { return savedDomain{d.mtasts.record, d.dane.record} }

// summary is the commitment of a domain and the states that it comes from, or "" for those that commit to nothing.
type summary struct {
	Commitment
	mtasts, dane State
}

func (d *domain) summarize(now time.Time) summary {
	s := summary{Commitment: NoCommitment}
	for i, state := range [2]*State{&s.mtasts, &s.dane} {
		m := d.mechanisms()[i]
		switch c := m.commitment(now); {
		case c == NoCommitment:
			continue
		case s.Commitment != Confirmed:
			s.Commitment = c
		}
		*state = m.State
	}
	return s
}

// explain returns the reasons for the commitment of d.
func (d *domain) explain(now time.Time) string {
	var reasons []string
	for _, m := range d.mechanisms() {
		switch {
		case m.commitment(now) == NoCommitment:
		case m.State == Unknown && m.err == nil:
			reasons = append(reasons, m.name+" has not been checked yet")
		case m.State == Unknown:
			reasons = append(reasons, "no check of "+m.name+" has succeeded yet")
		case m == &d.mtasts:
			reasons = append(reasons, m.explainMTASTS(now))
		default:
			reasons = append(reasons, m.explainDANE())
		}
	}
	if reasons == nil {
		return "neither MTA-STS nor DANE commits it to STARTTLS"
	}
	return strings.Join(reasons, "; ")
}

func (r *record) explainMTASTS(now time.Time) string {
	until := r.Published.endTime().Format(time.RFC3339)
	switch {
	case r.State == Enforce && r.Published.expired(now):
		return "its MTA-STS policy has mode enforce"
	case r.State == Enforce:
		return "its MTA-STS policy has mode enforce, and senders may have it in their caches until " + until
	case r.Published.Current != nil:
		return "its MTA-STS record is gone, but the policy is still served with mode enforce, and senders that have it in their caches may renew it: stop serving it"
	case r.ID == "":
		return "its MTA-STS policy is gone, but senders may have it in their caches until " + until + ", with mode enforce"
	case r.ID != r.Published.ID:
		return "its MTA-STS policy no longer has mode enforce, but senders may have the previous one in their caches until " + until
	}
	return "its MTA-STS policy no longer has mode enforce, but has the same id, so that senders keep the previous one until " + until + ": change the id"
}

func (r *record) explainDANE() string {
	switch host := r.Published.ID; r.State {
	case Secure:
		return fmt.Sprintf("its MX host %s has TLSA records", host)
	case Indeterminate:
		return fmt.Sprintf("its MX host %s has TLSA records, and it is unknown whether DNSSEC secures them: name validating resolvers on loopback only", host)
	default:
		return fmt.Sprintf("its MX host %s had TLSA records, which resolvers may have in their caches until %s", host, r.Published.endTime().Format(time.RFC3339))
	}
}

// isDue reports whether it is time for the next check, or the clock was set back.
func (d *domain) isDue(now time.Time, interval time.Duration) bool {
	return !now.Before(d.next) || d.next.Sub(now) > interval
}

// scheduleNext plans the check after one that has just ended.
func (d *domain) scheduleNext(now time.Time, interval time.Duration) {
	const first, maxDoublings = time.Minute, 16 // no interval is that long
	d.checked = now
	wait := interval
	if d.mtasts.err == nil && d.dane.err == nil {
		d.failures = 0
	} else {
		wait = min(interval, first<<min(d.failures, maxDoublings))
		d.failures++
	}
	// A little less each time, so that domains do not stay in step.
	d.next = now.Add(wait - rand.N(wait/10+1))
}
