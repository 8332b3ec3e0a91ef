package dnsbl

import (
	"context"
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
	_ lists.Source    = (*List)(nil)
	_ lists.NameUser  = (*List)(nil)
	_ lists.Tracer    = (*List)(nil)
	_ lists.Describer = (*finding)(nil)
)

// Spec is what the source was made with.
func (s *List) Spec() Spec { return s.spec }

// UsesNames implements lists.NameUser.
func (s *List) UsesNames() bool {
	return slices.ContainsFunc(s.spec.Zones, func(z Zone) bool { return z.ByName })
}

// Lookup implements lists.Source. A client whose address is no global unicast
// address is on no list, and nobody is asked about it; neither is a host name
// that is none, or is too long for the question.
//
// With a ctx that is cancelled, what is not in memory, or too old, is Pending.
// With one whose deadline is over before the zones have answered, what is too old
// counts.
func (s *List) Lookup(ctx context.Context, c lists.Client) lists.Match {
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
		parts[i] = s.members[i].look(&c, now)
	}
	status := s.judge(parts)
	for status == lists.Pending {
		live := await(ctx, parts)
		if !live && !tooLate(ctx) {
			break
		}
		now = s.service.now()
		s.land(parts, &c, now, !live)
		if status = s.judge(parts); !live {
			break
		}
	}
	if status != lists.Matched {
		return lists.Match{Status: status}
	}
	return lists.Match{Status: status, By: s.found.of(s, parts)}
}

func (m *member) look(c *lists.Client, now int64) part {
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
	return m.zone.look(&k, now)
}

func (m *member) key(c *lists.Client) key {
	if m.ByName {
		return key{of: m.zone.id, name: c.Name}
	}
	return key{of: m.zone.id, addr: c.Addr.As16()}
}

// land brings parts up to date; last says that who asks waits no longer.
func (s *List) land(parts []part, c *lists.Client, now int64, last bool) {
	for i := range parts {
		p, m := &parts[i], &s.members[i]
		if p.state != pending {
			continue
		}
		k := m.key(c)
		if m.zone.land(&k, now, p); last && p.state == pending && p.old {
			m.zone.give(p)
		}
	}
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
