package guard

import (
	"slices"
	"time"
)

// promise is one that was seen, and for how long senders remember it. The zero
// promise is none.
type promise struct {
	By      string    `json:"by,omitempty"`      // the id of the policy, or the MX host
	Seen    time.Time `json:"seen,omitzero"`     // when senders may last have got it
	Seconds int64     `json:"seconds,omitempty"` // for which they remember it from then on
	// Since is when a clock was found to be before Seen, as long as it is.
	Since time.Time `json:"since,omitzero"`
}

func (p promise) until() time.Time {
	from := p.Seen
	if !p.Since.IsZero() {
		from = p.Since
	}
	if from.IsZero() {
		return time.Time{}
	}
	return from.Add(time.Duration(p.Seconds) * time.Second)
}

// renew notes that senders get it now, and remember it for d. Those who
// remember an earlier and longer one go on doing so.
func (p *promise) renew(by string, d time.Duration, now time.Time) {
	p.By = by
	if !now.Add(d).Before(p.until()) {
		p.Seen, p.Seconds, p.Since = now, int64(d/time.Second), time.Time{}
	}
}

// limit ends what a clock that was wrong then, or is wrong now, would make too
// long: nobody remembers it for longer than if it had been seen now. Once the
// clock is past Seen it is known which it was, and nothing is lost.
func (p *promise) limit(now time.Time) {
	switch {
	case !p.Seen.After(now):
		p.Since = time.Time{}
	case p.Since.IsZero() || p.Since.After(now):
		p.Since = now
	case !now.Before(p.until()):
		*p = promise{}
	}
}

// rely is for how long it is believed of an earlier process that there was no
// promise.
const rely = 24 * time.Hour

func outdated(checked, now time.Time) bool {
	age := now.Sub(checked)
	return age > rely || age < -rely
}

// MTASTS is what a domain says by MTA-STS.
type MTASTS string

const (
	MTASTSUnknown MTASTS = "unknown" // never found out
	MTASTSNone    MTASTS = "none"    // no policy, or one with the mode "none"
	MTASTSTesting MTASTS = "testing"
	MTASTSEnforce MTASTS = "enforce"
)

// sts is what is known of the MTA-STS of a domain.
type sts struct {
	State   MTASTS    `json:"state"`
	ID      string    `json:"id,omitempty"` // in the record that goes with it; "": there was none, or a broken one
	Checked time.Time `json:"checked,omitzero"`
	Promise promise   `json:"promise,omitzero"` // the last policy that was to be enforced
}

// policyFound is the outcome of a good check.
type policyFound struct {
	state  MTASTS
	id     string
	maxAge time.Duration // of a policy that is to be enforced
	cached bool          // there is no record, but who knows the policy still gets it
}

func (s *sts) learn(f policyFound, now time.Time) {
	s.State, s.ID, s.Checked = f.state, f.id, now
	s.Promise.limit(now)
	switch {
	case f.cached:
		s.Promise.renew(s.Promise.By, f.maxAge, now)
	case f.state == MTASTSEnforce:
		s.Promise.renew(f.id, f.maxAge, now)
	}
}

// miss notes that a policy of this id is announced, and could not be had here:
// what was known before is no longer so.
func (s *sts) miss(id string) {
	if id != "" && id != s.ID && s.State != MTASTSEnforce {
		s.State = MTASTSUnknown
	}
}

// promised says whether senders hold this domain to STARTTLS.
//
// Those who know a policy that is to be enforced keep it for its max_age, unless
// they are shown the id of another one (RFC 8461 section 5.1). If the record
// goes before that time they keep it, too, and so do those who did not come
// while another policy was there (section 8.3).
func (s *sts) promised(now time.Time) bool {
	switch s.State {
	case MTASTSEnforce, MTASTSUnknown:
		return true
	}
	superseded := s.ID != "" && s.ID != s.Promise.By
	return !superseded && !s.ended(now)
}

// ended: nobody remembers a policy that is to be enforced.
func (s *sts) ended(now time.Time) bool {
	s.Promise.limit(now)
	return !now.Before(s.Promise.until())
}

// recall makes use of what an earlier process knew.
func (s *sts) recall(now time.Time) {
	s.Promise.limit(now)
	if s.State == "" || !s.promised(now) && outdated(s.Checked, now) {
		s.State, s.ID = MTASTSUnknown, ""
	}
}

// DANE is what a domain says by DANE.
type DANE string

const (
	DANEUnknown DANE = "unknown" // never found out
	DANENone    DANE = "none"    // no MX host has TLSA records that are secured by DNSSEC
	DANESecured DANE = "secured" // one has
	DANEUnsure  DANE = "unsure"  // one has TLSA records, and nobody can tell whether they are secured
)

// dane is what is known of the DANE of a domain.
type dane struct {
	State   DANE      `json:"state"`
	Checked time.Time `json:"checked,omitzero"`
	Promise promise   `json:"promise,omitzero"` // the last records seen
}

// tlsaFound is the outcome of a good check.
type tlsaFound struct {
	state DANE
	host  string        // that has the records
	ttl   time.Duration // for which others remember them
}

func (d *dane) learn(f tlsaFound, now time.Time) {
	d.State, d.Checked = f.state, now
	d.Promise.limit(now)
	if f.state != DANENone {
		d.Promise.renew(f.host, f.ttl, now)
	}
}

// promised says whether senders hold this domain to STARTTLS: as long as the
// records are there, and then until resolvers forgot them.
func (d *dane) promised(now time.Time) bool {
	d.Promise.limit(now)
	return d.State != DANENone || now.Before(d.Promise.until())
}

// recall makes use of what an earlier process knew.
func (d *dane) recall(now time.Time) {
	d.Promise.limit(now)
	if d.State == "" || !d.promised(now) && outdated(d.Checked, now) {
		d.State = DANEUnknown
	}
}

// known says whether a word is one that a check can have found.
func (s MTASTS) known() bool {
	return slices.Contains([]MTASTS{MTASTSNone, MTASTSTesting, MTASTSEnforce, MTASTSUnknown}, s)
}

func (d DANE) known() bool {
	return slices.Contains([]DANE{DANENone, DANESecured, DANEUnsure, DANEUnknown}, d)
}
