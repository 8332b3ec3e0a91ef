package dnsbl

import (
	"errors"
	"fmt"

	"ehlogate/lists"
	"ehlogate/lists/answer"
	"ehlogate/lists/secret"
)

// Spec is what a list is made of.
type Spec struct {
	Zones []Zone
	// Threshold is the score that matches: the list matches a client that at least one zone lists, if the sum of what the zones
	// add is that or more.
	Threshold int
}

// Zone is a zone of a list, and what its answers count for.
type Zone struct {
	Domain secret.Text   // of NewDomain
	ByName bool          // it is queried about verified host names (RFC 5782 section 2.3) and not about addresses
	Answer answer.Filter // which answers list a client
	Weight int           // what a listing adds to the score, for a filter with N that many times
	// NoHealthCheck means that the zone does not have the test entries (RFC 5782 section 5), so it is used without a regular
	// health check.
	NoHealthCheck bool
}

// NewDomain returns the domain of a zone, such as "list.dnswl.org". The domain of a paid list has the key of its customer
// in it, so it is shown by its name or, if name is "", without what looks like a key.
func NewDomain(domain, name string) secret.Text {
	domain = lists.NormalizeName(domain)
	if name == "" {
		name = secret.MaskDomain(domain)
	}
	return secret.New(domain, name)
}

// ID returns what the zone shares its answers and its health by.
func (z Zone) ID() ZoneID { return ZoneID{z.Domain, z.ByName, z.NoHealthCheck} }

// CompareDomains returns an error if two zones cannot be told apart where they are shown, or one is shown in two ways, of
// which one may be its key.
func CompareDomains(a, b secret.Text) error {
	switch same := a.HasSameSecret(b); {
	case !same && a.String() == b.String():
		return fmt.Errorf("two zones would be shown as %q", a)
	case same && a.String() != b.String():
		return errors.New("this zone has another name, or none, in another place")
	}
	return nil
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
