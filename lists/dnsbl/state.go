package dnsbl

import (
	"context"
	"sync/atomic"
	"time"

	"ehlogate/lists/dnsclient"
)

// Stats is how a Service does, for those who watch it.
type Stats struct {
	Zones []UpstreamStats `json:"zones"`           // by name
	Names *UpstreamStats  `json:"names,omitempty"` // nil: nobody wants to know names

	InFlight   int    `json:"in_flight"` // questions about clients
	MaxLookups int    `json:"max_lookups"`
	Rejected   uint64 `json:"rejected"` // questions, because so many were in flight
	Entries    int    `json:"entries"`  // answers in memory
	MaxEntries int    `json:"max_entries"`
}

// UpstreamStats is how a zone, or reverse DNS, does.
type UpstreamStats struct {
	Zone          string `json:"zone,omitempty"` // empty for reverse DNS
	ByName        bool   `json:"by_name,omitempty"`
	NoHealthCheck bool   `json:"no_health_check,omitempty"` // it has no self-test
	// State is "half-open" before the first test is over, "closed", or "open", as
	// in a circuit breaker: it is not asked about clients until it passes a test.
	State string `json:"state"`
	// IPv6 is the same for IPv6 addresses, which a zone may answer less well.
	IPv6     string    `json:"ipv6"`
	Since    time.Time `json:"since"`            // of State
	Error    string    `json:"error,omitempty"`  // why it is open, else what failed since the last test
	Error6   string    `json:"error6,omitempty"` // why IPv6 is open
	Tested   time.Time `json:"tested,omitzero"`  // when the last test began; zero: never
	InFlight int       `json:"in_flight"`
	Counts
}

// Counts are from the start of the process.
type Counts struct {
	Queries  uint64            `json:"queries"` // questions about clients, to a resolver
	Answered uint64            `json:"answered"`
	Failed   map[string]uint64 `json:"failed"` // by resolve.Kind, and "not-believed"
	Listed   uint64            `json:"listed"` // answers that list a client, or names that were verified

	Hits       uint64 `json:"hits"`   // looked for in memory, and found
	Misses     uint64 `json:"misses"` // not found, or too old; who waits for what another asked is not counted
	Stale      uint64 `json:"stale"`  // too old, and used for want of better
	Prefetched uint64 `json:"prefetched"`
	Rejected   uint64 `json:"rejected"` // not asked, because so many were in flight

	Tests  uint64 `json:"tests"`
	Opened uint64 `json:"opened"` // how often it went from being asked to not
}

// counters are Counts as they are counted.
type counters struct {
	asking
	listed, hits, misses, stale, prefetched, refused, tests, opened atomic.Uint64
}

// asking counts questions.
type asking struct {
	asked, answered atomic.Uint64
	kinds           [notBelieved + 1]atomic.Uint64 // of failures
}

func (c *asking) ask(ctx context.Context, asker dnsclient.Resolver, name string, qtype uint16) (dnsclient.Answer, error) {
	c.asked.Add(1)
	a, err := asker.Query(ctx, name, qtype)
	if err != nil {
		c.kinds[reasonOf(err)].Add(1)
		return a, err
	}
	c.answered.Add(1)
	return a, nil
}

// Stats tells how the service does.
func (s *Client) Stats() Stats {
	zones, names := s.all()
	st := Stats{
		InFlight: int(s.inFlight.Load()), MaxLookups: s.config.MaxLookups, Rejected: s.refused.Load(),
		Entries: s.memory.len(), MaxEntries: s.config.CacheEntries,
	}
	for _, z := range zones {
		zs := z.state()
		zs.Zone, zs.ByName, zs.NoHealthCheck = z.name, z.byName, z.untested
		st.Zones = append(st.Zones, zs)
	}
	if names != nil {
		ns := names.state()
		st.Names = &ns
	}
	return st
}

func (o *upstream) state() UpstreamStats {
	s := o.service
	at := func(ns int64) time.Time { return s.start.Add(time.Duration(ns)) }
	o.mu.Lock()
	st := UpstreamStats{
		State: breakerState(o.trust.Load()).String(), IPv6: breakerState(o.trust6.Load()).String(),
		Since: at(o.since.Load()), Error: o.why, Error6: o.why6, InFlight: int(o.flying.Load()),
	}
	o.mu.Unlock()
	if tested := o.tested.Load(); tested != never {
		st.Tested = at(tested)
	}
	st.Counts = Counts{
		Queries: o.asked.Load(), Answered: o.answered.Load(), Failed: make(map[string]uint64), Listed: o.listed.Load(),
		Hits: o.hits.Load(), Misses: o.misses.Load(), Stale: o.stale.Load(), Prefetched: o.prefetched.Load(),
		Rejected: o.refused.Load(), Tests: o.tests.Load(), Opened: o.opened.Load(),
	}
	for r := reason(1); r <= notBelieved; r++ {
		st.Failed[r.String()] = o.kinds[r].Load()
	}
	return st
}
