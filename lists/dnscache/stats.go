package dnscache

import (
	"time"

	"ehlogate/lists/breaker"
	"ehlogate/lists/dnsclient"
)

type Stats struct {
	InFlight   int    `json:"in_flight"` // queries about clients
	MaxLookups int    `json:"max_lookups"`
	Rejected   uint64 `json:"rejected"` // queries, because so many were in flight
	Entries    int    `json:"entries"`
	MaxEntries int    `json:"max_entries"`
}

type UpstreamStats struct {
	// State is "unchecked" before the first health check is over, "enabled", or "disabled": the circuit breaker is open, and no
	// client's query is sent until a health check passes.
	State    string    `json:"state"`
	Since    time.Time `json:"since"`            // of State
	Error    string    `json:"error,omitempty"`  // why it is disabled, else the last failure since the last good health check
	Checked  time.Time `json:"checked,omitzero"` // when the last health check began; zero: never
	InFlight int       `json:"in_flight"`

	// What follows counts from the start of the process.
	Queries  uint64            `json:"queries"` // about clients, to a resolver
	Answered uint64            `json:"answered"`
	Failed   map[string]uint64 `json:"failed"` // by dnsclient.Kind
	Listed   uint64            `json:"listed"` // answers that list a client, or verified names

	Hits       uint64 `json:"hits"`   // lookups that the cache answered
	Misses     uint64 `json:"misses"` // lookups that it did not; those that wait for a query of another caller are not counted
	Stale      uint64 `json:"stale"`  // expired answers that were used for want of a fresh one
	Prefetched uint64 `json:"prefetched"`
	Rejected   uint64 `json:"rejected"` // queries not sent, because so many were in flight

	HealthChecks uint64 `json:"health_checks"` // health checks
	Opened       uint64 `json:"opened"`        // how often the breaker opened
}

func (c *Cache) Stats() Stats {
	return Stats{
		InFlight: int(c.inFlight.Load()), MaxLookups: c.options.MaxLookups, Rejected: c.rejected.Load(),
		Entries: c.store.count(), MaxEntries: c.options.CacheEntries,
	}
}

func (u *Upstream) Stats() UpstreamStats {
	at := func(ns int64) time.Time { return u.cache.start.Add(time.Duration(ns)) }
	checks, opened := u.Breaker.Counts()
	st := UpstreamStats{
		State: u.Breaker.State().String(), Since: at(u.Breaker.Since()), Error: u.Breaker.Reason(), InFlight: int(u.inFlight.Load()),
		Queries: u.sent.Load(), Answered: u.answered.Load(), Failed: make(map[string]uint64), Listed: u.positive.Load(),
		Hits: u.hits.Load(), Misses: u.misses.Load(), Stale: u.stale.Load(), Prefetched: u.prefetched.Load(),
		Rejected: u.rejected.Load(), HealthChecks: checks, Opened: opened,
	}
	if checked := u.Breaker.CheckedAt(); checked != breaker.Never {
		st.Checked = at(checked)
	}
	for kind := range dnsclient.KindCount {
		st.Failed[kind.String()] = u.failed[kind].Load()
	}
	return st
}
