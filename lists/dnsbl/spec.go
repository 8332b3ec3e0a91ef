package dnsbl

import "ehlogate/lists/answer"

// Spec is what a list is made of.
type Spec struct {
	Zones []Zone
	// Threshold is the score that matches: the list matches a client that at least one zone lists, if the sum of what the zones
	// add is that or more.
	Threshold int
}

// Zone is a zone of a list, and what its answers count for.
type Zone struct {
	Name   string        // the domain, such as "list.dnswl.org"
	ByName bool          // it is queried about verified host names (RFC 5782 section 2.3) and not about addresses
	Answer answer.Filter // which answers list a client
	Weight int           // what a listing adds to the score, for a filter with N that many times
	// NoHealthCheck means that the zone does not have the test entries (RFC 5782 section 5), so it is used without a regular
	// health check.
	NoHealthCheck bool
}

// Highest returns what the zone adds to a score at most: 0 if it only takes away.
func (z Zone) Highest() int { _, high := z.scoreRange(); return max(high, 0) }

// scoreRange returns what a listing adds at least and at most.
func (z *Zone) scoreRange() (low, high int) {
	if !z.Answer.HasScore() {
		return z.Weight, z.Weight
	}
	return min(0, 255*z.Weight), max(0, 255*z.Weight)
}
