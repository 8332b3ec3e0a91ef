package dnsbl

import (
	"slices"

	"ehlogate/lists"
)

// Zone is a zone of a list, and what its answers count for.
type Zone struct {
	Name   string // the domain, such as "list.dnswl.org"
	ByName bool   // it is asked about verified host names (RFC 5782 section 2.3) and not about addresses
	Answer Filter // which answers list a client
	Weight int    // what a listing adds to the score, for a Filter with N that many times
	// NoHealthCheck: the zone has none of the entries that show that it works (RFC 5782
	// section 5), so it is believed without.
	NoHealthCheck bool
}

// Highest is what the zone adds to a score at most: 0 if it only takes away.
func (z Zone) Highest() int { _, high := z.reach(); return max(high, 0) }

// Lowest is what the zone adds to a score at least: less than 0 if it can take
// away, else 0.
func (z Zone) Lowest() int { low, _ := z.reach(); return min(low, 0) }

// reach is what a listing adds at least and at most.
func (z *Zone) reach() (low, high int) {
	if z.Answer.score == 0 {
		return z.Weight, z.Weight
	}
	return min(0, 255*z.Weight), max(0, 255*z.Weight)
}

// Spec says what a list by DNS is made of.
type Spec struct {
	Zones []Zone
	// Threshold: the list holds a client that at least one zone lists, if the
	// score, the sum of what the zones add, is that or more.
	Threshold int
}

// List is a list by DNS.
type List struct {
	service *Client
	spec    Spec
	members []member
	found   findings
}

// member is a zone of a list.
type member struct {
	Zone
	zone *zone
}

var (
	_ lists.PendingSource = (*List)(nil)
	_ lists.NameUser      = (*List)(nil)
	_ lists.Tracer        = (*List)(nil)
	_ lists.Describer     = (*finding)(nil)
)

// Spec is what the source was made with.
func (s *List) Spec() Spec { return s.spec }

// UsesNames implements lists.NameUser.
func (s *List) UsesNames() bool {
	return slices.ContainsFunc(s.spec.Zones, func(z Zone) bool { return z.ByName })
}

// Lookup implements lists.Source. A client whose address is no global unicast address is on no list, and no query is sent
// about it; neither is one about a host name that is invalid, or too long for the query.
func (s *List) Lookup(c lists.Client) lists.Match { return s.lookup(&c, first) }

// LookupAgain implements lists.PendingSource.
func (s *List) LookupAgain(c lists.Client, late bool) lists.Match {
	if late {
		return s.lookup(&c, last)
	}
	return s.lookup(&c, again)
}

func (s *List) lookup(c *lists.Client, t turn) lists.Match {
	c.Addr = c.Addr.Unmap()
	if c.Addr.IsValid() && !public(c.Addr) {
		return lists.Match{}
	}
	now := s.service.now()
	var few [8]part
	parts := few[:]
	if len(s.members) > len(few) {
		parts = make([]part, len(s.members))
	}
	parts = parts[:len(s.members)]
	for i := range s.members {
		parts[i] = s.members[i].lookup(c, now, t)
	}
	switch status := s.judge(parts); status {
	case lists.Matched:
		return lists.Match{Status: status, By: s.found.of(s, parts)}
	case lists.Pending:
		return lists.Match{Status: status, Ready: ready(parts)}
	default:
		return lists.Match{Status: status}
	}
}

// ready returns what tells that one of parts is known.
func ready(parts []part) (out []<-chan struct{}) {
	for i := range parts {
		if parts[i].state == pending && parts[i].flight != nil {
			out = append(out, parts[i].flight.done)
		}
	}
	return out
}

func (m *member) lookup(c *lists.Client, now int64, t turn) part {
	switch {
	case !m.ByName && c.Addr.IsValid(), m.ByName && c.Name != "":
	case m.ByName && c.NameStatus == lists.Pending:
		return part{state: pending}
	case m.ByName && c.NameStatus == lists.Unavailable:
		return part{state: unknown}
	default:
		return part{state: known}
	}
	k := m.key(c)
	return m.zone.look(&k, now, t)
}

func (m *member) key(c *lists.Client) key {
	if m.ByName {
		return key{of: m.zone.id, name: c.Name}
	}
	return key{of: m.zone.id, addr: c.Addr.As16()}
}

// judge decides from what is known. What is not known may be anything: the list
// holds the client, or not, only if it does whatever that is.
func (s *List) judge(parts []part) lists.Status {
	listed := false             // by a zone that is known
	score, low, high := 0, 0, 0 // of zones that are known; what the others may take away or add
	best, unsure := 0, 0        // the most that one of the others adds if it lists; how many there are
	status := lists.Unavailable
	for i := range parts {
		m := &s.members[i]
		switch parts[i].state {
		case known:
			if n, _, ok := m.score(parts[i].said); ok {
				listed = true
				score += n
			}
			continue
		case pending:
			status = lists.Pending
		}
		least, most := m.reach()
		if unsure++; unsure == 1 || most > best {
			best = most
		}
		low += min(least, 0)
		high += max(most, 0)
	}
	if !listed {
		// One of the others has to list the client, even if that costs.
		if unsure == 0 || high+min(best, 0) < s.spec.Threshold {
			return lists.NoMatch
		}
		return status
	}
	switch {
	case score+low >= s.spec.Threshold:
		return lists.Matched
	case score+high < s.spec.Threshold:
		return lists.NoMatch
	}
	return status
}

// score gives what the answers of the zone add, and which of them does: of
// several that list the client the one that counts most, up or down.
func (m *member) score(said string) (n int, at int, ok bool) {
	size := -1
	for i := 0; i+3 <= len(said); i += 3 {
		times, takes := m.Answer.takes(said[i], said[i+1], said[i+2])
		if takes && times*abs(m.Weight) > size {
			n, at, ok, size = times*m.Weight, i, true, times*abs(m.Weight)
		}
	}
	return n, at, ok
}

func abs(n int) int { return max(n, -n) }
