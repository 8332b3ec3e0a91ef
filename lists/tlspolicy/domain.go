package tlspolicy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// savedDomain is what is remembered of a domain.
type savedDomain struct {
	STS  sts  `json:"mta_sts"`
	DANE dane `json:"dane"`
}

// domain is all that is known of one.
type domain struct {
	name string
	savedDomain

	begun, looked time.Time // the last check
	next          time.Time
	fails         int // checks that failed since a good one

	said        standing // was logged last
	stsTrouble  trouble
	daneTrouble trouble
	testing     trouble
}

// Commitment is whether STARTTLS was promised for a domain.
type Commitment string

const (
	Free     Commitment = "none"     // no promise stands
	Promised Commitment = "promised" // one does
	Assumed  Commitment = "assumed"  // nobody knows; it is treated as one
)

func (d *domain) commitment(now time.Time) Commitment {
	switch {
	case d.STS.State != MTASTSUnknown && d.STS.promised(now),
		(d.DANE.State == DANESecured || d.DANE.State == DANENone) && d.DANE.promised(now):
		return Promised
	case d.STS.promised(now) || d.DANE.promised(now):
		return Assumed
	}
	return Free
}

// standing is a verdict and what it comes from; "" for what promises nothing.
type standing struct {
	verdict Commitment
	sts     MTASTS
	dane    DANE
}

func (d *domain) standing(now time.Time) standing {
	s := standing{verdict: d.commitment(now)}
	if d.STS.promised(now) {
		s.sts = d.STS.State
	}
	if d.DANE.promised(now) {
		s.dane = d.DANE.State
	}
	return s
}

// why puts the verdict into words.
func (d *domain) why(now time.Time) string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s := &d.STS; s.promised(now) {
		until := s.Promise.until().Format(time.RFC3339)
		switch {
		case s.State == MTASTSUnknown:
			add("%s", unknown("MTA-STS", d.stsTrouble))
		case s.State == MTASTSEnforce && s.Promise.ended(now):
			add("its MTA-STS policy is to be enforced")
		case s.State == MTASTSEnforce:
			add("its MTA-STS policy is to be enforced, and senders remember it until %s", until)
		case s.Promise.Given != nil:
			add("its MTA-STS record is gone, but the policy is still served and to be enforced, and senders that know it may renew it: take it out")
		case s.ID == "":
			add("its MTA-STS policy is gone, but senders remember until %s that it was to be enforced", until)
		case s.ID != s.Promise.By:
			add("its MTA-STS policy is no longer to be enforced, but senders may keep the one before until %s", until)
		default:
			add("its MTA-STS policy is no longer to be enforced, but has the same id, so that senders keep the one before until %s: change the id", until)
		}
	}
	if t := &d.DANE; t.promised(now) {
		switch t.State {
		case DANEUnknown:
			add("%s", unknown("DANE", d.daneTrouble))
		case DANESecured:
			add("its MX host %s has TLSA records", t.Promise.By)
		case DANEUnsure:
			add("its MX host %s has TLSA records, and nobody can tell whether DNSSEC secures them: let a validating resolver on loopback be the only one asked", t.Promise.By)
		case DANENone:
			add("its MX host %s had TLSA records, and resolvers may remember that until %s", t.Promise.By, t.Promise.until().Format(time.RFC3339))
		}
	}
	if all == nil {
		return "it promises STARTTLS neither by MTA-STS nor by DANE"
	}
	return strings.Join(all, "; ")
}

func unknown(what string, t trouble) string {
	if t.err == nil {
		return "its " + what + " has not been checked yet"
	}
	return "its " + what + " could not be checked so far"
}

// end is when the verdict may change without a check; zero: never.
func (d *domain) end(now time.Time) (first time.Time) {
	for _, end := range []time.Time{d.STS.Promise.until(), d.DANE.Promise.until()} {
		if end.After(now) && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return first
}

// due says whether it is time for the next check, or the clock was set back.
func (d *domain) due(now time.Time, interval time.Duration) bool {
	return !now.Before(d.next) || d.next.Sub(now) > interval
}

// checked plans the next check.
func (d *domain) checked(now time.Time, interval time.Duration, policyErr, tlsaErr error) {
	const soon, most = time.Minute, 16 // doublings; no interval is that long
	d.looked = now
	wait := interval
	if policyErr == nil && tlsaErr == nil {
		d.fails = 0
	} else {
		wait = min(interval, soon<<min(d.fails, most))
		d.fails++
	}
	// A little less each time, so that not all are checked at once for ever.
	d.next = now.Add(wait - rand.N(wait/10+1))
	d.stsTrouble.err, d.daneTrouble.err = policyErr, tlsaErr
}
