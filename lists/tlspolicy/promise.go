package tlspolicy

import (
	"slices"
	"time"
)

// dnsTime is how long a resolver may remember a record, whatever its TTL: RFC
// 8767 section 4 recommends to cut every TTL to a week. It is not made shorter by
// a TTL that is seen here, since that may be too short: a caching resolver tells
// what is left of it, and first cuts it to a limit of its own, such as a day (by
// unbound). The whole stands in signatures alone (RFC 4034 section 3.1.4), and
// MX records, and those of a policy, need not have one.
const dnsTime = 7 * 24 * time.Hour

// commitment is one that was seen, and for how long senders remember it. The zero
// promise is none.
type commitment struct {
	By      string    `json:"by,omitempty"`      // the id of the policy, or the MX host
	Seen    time.Time `json:"seen,omitzero"`     // when senders may last have got it, as far as is known
	Seconds int64     `json:"seconds,omitempty"` // for which they remember it from then on, if DNS leads them to it
	// Since is when a clock was found to be before Seen, as long as it is.
	Since time.Time `json:"since,omitzero"`
	// Given is the Seconds of what the last good check found, which senders may
	// get until the next one; nil: it found nothing.
	Given *int64 `json:"given,omitempty"`
}

// until is when nobody remembers it any more. Resolvers may lead senders to it
// for dnsTime after it went: by the TLSA records, by the MX record of a host
// that has them, or by the record and the address of a policy.
func (p commitment) until() time.Time {
	from := p.Seen
	if !p.Since.IsZero() {
		from = p.Since
	}
	if from.IsZero() {
		return time.Time{}
	}
	return from.Add(time.Duration(p.Seconds)*time.Second + dnsTime)
}

// learn notes what a good check found: a promise that senders remember for d,
// or none. What was found before went at some time after that, perhaps just
// now, so senders may have got it until now.
func (p *commitment) learn(found bool, by string, d time.Duration, now time.Time) {
	p.limit(now)
	if p.Given != nil {
		p.renew(*p.Given, now)
	}
	p.Given = nil
	if found {
		p.By, p.Given = by, new(int64(d/time.Second))
		p.renew(*p.Given, now)
	}
}

// renew notes that senders may have got it until now. Those who remember an
// earlier and longer one go on doing so.
func (p *commitment) renew(seconds int64, now time.Time) {
	next := commitment{Seen: now, Seconds: seconds}
	switch {
	case next.until().Before(p.until()):
	case p.Seen.After(now): // by a clock that may be right again
		p.Seconds, p.Since = max(p.Seconds, seconds), now
	default:
		p.Seen, p.Seconds, p.Since = now, seconds, time.Time{}
	}
}

// limit ends what a clock that was wrong then, or is wrong now, would make too
// long: nobody remembers it for longer than if it had been seen now. Once the
// clock is past Seen it is known which it was, and nothing is lost.
func (p *commitment) limit(now time.Time) {
	switch {
	case !p.Seen.After(now):
		p.Since = time.Time{}
	case p.Since.IsZero() || p.Since.After(now):
		p.Since = now
	case !now.Before(p.until()):
		*p = commitment{By: p.By, Given: p.Given}
	}
}

// ended: nobody remembers it, if it went when the last check had found it.
func (p *commitment) ended(now time.Time) bool {
	p.limit(now)
	return !now.Before(p.until())
}

// stands says whether senders may get it, or remember it.
func (p *commitment) stands(now time.Time) bool { return !p.ended(now) || p.Given != nil }

// recall makes use of what an earlier process wrote; found: its last check found
// a promise. Older versions did not write Given, which is no more than Seconds.
func (p *commitment) recall(found bool, now time.Time) {
	if found && p.Given == nil {
		p.Given = new(p.Seconds)
	}
	p.limit(now)
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
	State   MTASTS     `json:"state"`
	ID      string     `json:"id,omitempty"` // in the record that goes with it; "": there was none, or a broken one
	Checked time.Time  `json:"checked,omitzero"`
	Promise commitment `json:"promise,omitzero"` // the last policy that was to be enforced
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
	by := f.id
	if f.cached {
		by = s.Promise.By
	}
	s.Promise.learn(f.cached || f.state == MTASTSEnforce, by, f.maxAge, now)
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
// Those who know a policy that is to be enforced may go by it for its max_age,
// whatever is published meanwhile (RFC 8461 section 8.3): whether they look for
// another id before is up to them, until a message would have to be bounced
// (section 5.1). They defer it until then.
func (s *sts) promised(now time.Time) bool {
	return s.State == MTASTSUnknown || s.Promise.stands(now)
}

// recall makes use of what an earlier process knew.
func (s *sts) recall(now time.Time) {
	s.Promise.recall(s.State == MTASTSEnforce, now)
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
	State   DANE       `json:"state"`
	Checked time.Time  `json:"checked,omitzero"`
	Promise commitment `json:"promise,omitzero"` // the last records seen
}

// tlsaFound is the outcome of a good check.
type tlsaFound struct {
	state DANE
	host  string // that has the records
}

func (d *dane) learn(f tlsaFound, now time.Time) {
	d.State, d.Checked = f.state, now
	// Nobody remembers records for longer than resolvers do.
	d.Promise.learn(f.state != DANENone, f.host, 0, now)
}

// promised says whether senders hold this domain to STARTTLS: as long as the
// records are there, and then until resolvers forgot them.
func (d *dane) promised(now time.Time) bool {
	return d.State == DANEUnknown || d.Promise.stands(now)
}

// recall makes use of what an earlier process knew.
func (d *dane) recall(now time.Time) {
	d.Promise.recall(d.State == DANESecured || d.State == DANEUnsure, now)
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
