package tlspolicy

import "time"

// dnsCacheTime is how long a resolver may have a record in its cache, whatever its TTL: RFC 8767 section 4 recommends
// to cut every TTL to a week. A TTL that is seen here does not make it shorter, since that may be too short: a caching
// resolver returns what is left of it, and first cuts it to a limit of its own, such as a day (unbound). The whole
// stands in signatures alone (RFC 4034 section 3.1.4), and MX records, and those of a policy, need not have one.
const dnsCacheTime = 7 * 24 * time.Hour

// publication is a commitment that was seen, and how long it may be in caches. The zero publication is none.
type publication struct {
	ID     string    `json:"id,omitempty"`      // of the MTA-STS policy, or the MX host with TLSA records
	Seen   time.Time `json:"seen,omitzero"`     // when senders may last have got it, as far as is known
	MaxAge int64     `json:"max_age,omitempty"` // seconds from then on for which senders cache it, if DNS leads them to it
	// ClockBehind is when a clock was found to be before Seen, for as long as it is.
	ClockBehind time.Time `json:"clock_behind,omitzero"`
	// Current is the max_age in seconds that the last check which succeeded found, and that senders may get until the
	// next one; nil: it found none.
	Current *int64 `json:"current_max_age,omitempty"`
}

// endTime returns when it is in no cache any more. Resolvers may lead senders to it for dnsCacheTime after it was taken
// out: by the TLSA records, by the MX record of a host that has them, or by the record and the address of a policy.
func (p publication) endTime() time.Time {
	from := p.Seen
	if !p.ClockBehind.IsZero() {
		from = p.ClockBehind
	}
	if from.IsZero() {
		return time.Time{}
	}
	return from.Add(time.Duration(p.MaxAge)*time.Second + dnsCacheTime)
}

// update records what a check found: a commitment that senders cache for maxAge, or none. The previous one was taken
// out at some time since the last check, perhaps just now, so senders may have got it until now.
func (p *publication) update(found bool, id string, maxAge time.Duration, now time.Time) {
	p.adjustClock(now)
	if p.Current != nil {
		p.extend(*p.Current, now)
	}
	p.Current = nil
	if found {
		p.ID, p.Current = id, new(int64(maxAge/time.Second))
		p.extend(*p.Current, now)
	}
}

// extend records that senders may have got it until now. Those with an earlier one that lasts longer keep it.
func (p *publication) extend(seconds int64, now time.Time) {
	next := publication{Seen: now, MaxAge: seconds}
	switch {
	case next.endTime().Before(p.endTime()):
	case p.Seen.After(now): // by a clock that may be right again
		p.MaxAge, p.ClockBehind = max(p.MaxAge, seconds), now
	default:
		p.Seen, p.MaxAge, p.ClockBehind = now, seconds, time.Time{}
	}
}

// adjustClock ends what a clock that was wrong then, or is wrong now, would make too long: caches have it for no longer
// than if it had been seen now. Once the clock is past Seen it is known which it was, and nothing is lost.
func (p *publication) adjustClock(now time.Time) {
	switch {
	case !p.Seen.After(now):
		p.ClockBehind = time.Time{}
	case p.ClockBehind.IsZero() || p.ClockBehind.After(now):
		p.ClockBehind = now
	case !now.Before(p.endTime()):
		*p = publication{ID: p.ID, Current: p.Current}
	}
}

// expired reports whether it is in no cache any more, if it was taken out right after the last check that found it.
func (p *publication) expired(now time.Time) bool {
	p.adjustClock(now)
	return !now.Before(p.endTime())
}

// inForce reports whether senders may get it, or have it in a cache.
func (p *publication) inForce(now time.Time) bool { return !p.expired(now) || p.Current != nil }

// isPossible reports whether a check can have seen p.
func (p publication) isPossible() bool {
	return 0 <= p.MaxAge && p.MaxAge <= maxMaxAge && (p.Current == nil || 0 <= *p.Current && *p.Current <= maxMaxAge)
}
