package dnsbl

import (
	"iter"
	"net/netip"
	"sync"

	"ehlogate/lists"
	"ehlogate/lists/dnscache"
)

type List struct {
	client    *Client
	spec      Spec
	members   []member
	usesNames bool

	mu      sync.Mutex
	matches map[string]*matched // by matched.answers
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

func (l *List) Spec() Spec { return l.spec }

func (l *List) UsesNames() bool { return l.usesNames }

// Lookup implements lists.Source. A client whose address is no global unicast address is on no list, and no query is sent
// about it; neither is one about a host name that is invalid, or too long for the query.
func (l *List) Lookup(c lists.Client) lists.Match { return l.LookupTurn(c, lists.First) }

func (l *List) LookupTurn(c lists.Client, t lists.Turn) lists.Match {
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
		answers[i] = l.members[i].lookup(&c, now, t)
	}
	match := lists.Match{Status: l.judge(answers)}
	switch match.Status {
	case lists.Matched:
		match.By = l.findMatch(answers)
	case lists.Pending:
		for i := range answers {
			if answers[i].Ready != nil {
				match.Ready = append(match.Ready, answers[i].Ready)
			}
		}
	}
	return match
}

func (m *member) lookup(c *lists.Client, now int64, t lists.Turn) dnscache.Answer {
	if state, why := m.withoutQuery(c); why != "" {
		return dnscache.Answer{State: state}
	}
	return m.zone.Lookup(m.key(c), now, t)
}

// withoutQuery returns what is known of a client about which the zone cannot be queried, and why; "" if it can.
func (m *member) withoutQuery(c *lists.Client) (state dnscache.State, why string) {
	switch {
	case !m.ByName && c.Addr.IsValid(), m.ByName && c.Name != "":
		return dnscache.Unknown, ""
	case !m.ByName:
		return dnscache.Known, "not listed: the address of the client is not known"
	case c.NameStatus == lists.Pending:
		return dnscache.Pending, "not known: the name of the client is not known"
	case c.NameStatus == lists.Unavailable:
		return dnscache.Unknown, "not known: the name of the client is not known"
	}
	return dnscache.Known, "not listed: the client has no verified name"
}

func (m *member) key(c *lists.Client) dnscache.Key {
	if m.ByName {
		return dnscache.Key{Name: c.Name}
	}
	return dnscache.Key{Addr: c.Addr}
}

// Offline returns the list as it is while no server answers and nothing is cached: what it says of a client it says of all
// clients between two Boundaries.
func (l *List) Offline() *List { return New(l.client.cache.Offline(), nil).List(l.spec) }

// Boundaries returns the addresses at which the answer can change while no server answers, in no order.
func (l *List) Boundaries() iter.Seq[netip.Addr] { return special.Boundaries() }
