package dnsbl

import (
	"slices"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
)

// List is a DNS list.
type List struct {
	client  *Client
	spec    Spec
	members []member
	matches matchCache
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
	_ lists.Describer     = (*matched)(nil)
)

// Spec returns what the list was made with.
func (l *List) Spec() Spec { return l.spec }

// UsesNames implements lists.NameUser.
func (l *List) UsesNames() bool {
	return slices.ContainsFunc(l.spec.Zones, func(z Zone) bool { return z.ByName })
}

// Lookup implements lists.Source. A client whose address is no global unicast address is on no list, and no query is sent
// about it; neither is one about a host name that is invalid, or too long for the query.
func (l *List) Lookup(c lists.Client) lists.Match { return l.lookup(&c, dnscache.First) }

// LookupAgain implements lists.PendingSource.
func (l *List) LookupAgain(c lists.Client, late bool) lists.Match {
	return l.lookup(&c, dnscache.TurnAgain(late))
}

func (l *List) lookup(c *lists.Client, t dnscache.Turn) lists.Match {
	c.Addr = c.Addr.Unmap()
	if c.Addr.IsValid() && !isPublic(c.Addr) {
		return lists.Match{}
	}
	now := l.client.cache.Now()
	var few [8]dnscache.Answer
	answers := few[:]
	if len(l.members) > len(few) {
		answers = make([]dnscache.Answer, len(l.members))
	}
	answers = answers[:len(l.members)]
	for i := range l.members {
		answers[i] = l.members[i].lookup(c, now, t)
	}
	switch status := l.judge(answers); status {
	case lists.Matched:
		return lists.Match{Status: status, By: l.matches.findMatch(l, answers)}
	case lists.Pending:
		return lists.Match{Status: status, Ready: pendingChannels(answers)}
	default:
		return lists.Match{Status: status}
	}
}

// pendingChannels returns the channels of all answers that are pending.
func pendingChannels(answers []dnscache.Answer) (out []<-chan struct{}) {
	for i := range answers {
		if ready := answers[i].Ready(); ready != nil {
			out = append(out, ready)
		}
	}
	return out
}

func (m *member) lookup(c *lists.Client, now int64, t dnscache.Turn) dnscache.Answer {
	switch {
	case !m.ByName && c.Addr.IsValid(), m.ByName && c.Name != "":
	case m.ByName && c.NameStatus == lists.Pending:
		return dnscache.Answer{State: dnscache.Pending}
	case m.ByName && c.NameStatus == lists.Unavailable:
		return dnscache.Answer{State: dnscache.Unknown}
	default:
		return dnscache.Answer{State: dnscache.Known}
	}
	k := m.key(c)
	return m.zone.Lookup(&k, now, t)
}

func (m *member) key(c *lists.Client) dnscache.Key {
	if m.ByName {
		return m.zone.NameKey(c.Name)
	}
	return m.zone.AddrKey(c.Addr)
}
