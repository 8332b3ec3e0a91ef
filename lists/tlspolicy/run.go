package tlspolicy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Check looks at all domains once, for commands that do not stay. It takes no
// longer than ctx allows, nor than ten minutes. It writes no state file: that
// is for the one process that runs.
func (g *Monitor) Check(ctx context.Context) {
	g.round(ctx, func(*domain, time.Time) bool { return true })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.judge(g.now(), true)
}

// Run looks at all domains at once, then at each of them every interval, and
// keeps the state file, until ctx ends. It is called once.
func (g *Monitor) Run(ctx context.Context) {
	// The end of a promise is not announced, and clocks are set.
	const most = time.Minute
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for first := true; ; first = false {
		g.round(ctx, func(d *domain, now time.Time) bool { return first || d.due(now, g.config.Interval) })
		g.mu.Lock()
		now := g.now()
		wait := most
		for _, d := range g.all {
			g.change(d, now) // by time alone
			wait = min(wait, d.next.Sub(now))
			if end := d.end(now); !end.IsZero() {
				wait = min(wait, end.Sub(now))
			}
		}
		g.judge(now, ctx.Err() == nil)
		kept := g.remember()
		g.mu.Unlock()
		g.file.write(kept)
		timer.Reset(max(wait, time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

const (
	parallel   = 4                // checks at a time
	roundTime  = 10 * time.Minute // of all that are due
	domainTime = 90 * time.Second // of one domain
)

// round checks the domains that are due, those first that were last begun
// longest ago: a round may end before it came to all of them.
func (g *Monitor) round(ctx context.Context, due func(*domain, time.Time) bool) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	select {
	case g.busy <- struct{}{}:
		defer func() { <-g.busy }()
	case <-ctx.Done():
		return
	}
	g.mu.Lock()
	now := g.now()
	var which []*domain
	for _, d := range g.all {
		if due(d, now) {
			which = append(which, d)
		}
	}
	slices.SortStableFunc(which, func(a, b *domain) int { return a.begun.Compare(b.begun) })
	g.mu.Unlock()

	var wg sync.WaitGroup
	var taken atomic.Int64
	for range min(parallel, len(which)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(taken.Add(1)) - 1
				if i >= len(which) {
					return
				}
				g.check(ctx, which[i])
			}
		})
	}
	wg.Wait()
}

// check looks at one domain. Who cancels proves nothing; a time that is over
// does.
func (g *Monitor) check(ctx context.Context, d *domain) {
	g.mu.Lock()
	d.begun = g.now()
	cached := d.STS.Promise.stands(d.begun)
	g.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, domainTime)
	defer cancel()
	var policy policyFound
	var policyErr error
	var wg sync.WaitGroup
	wg.Go(func() { policy, policyErr = g.findPolicy(limited, d.name, cached) })
	tlsa, tlsaErr := g.findTLSA(limited, d.name)
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if policyErr == nil {
		d.STS.learn(policy, now)
	} else {
		d.STS.miss(policy.id)
	}
	if tlsaErr == nil {
		d.DANE.learn(tlsa, now)
	}
	d.checked(now, g.config.Interval, policyErr, tlsaErr)
	g.reportDomain(d, now)
	g.change(d, now)
	g.judge(now, false)
}

// holding is the first domain with a promise that is known, else the first with
// one that is assumed; nil: there is none. The caller locks.
func (g *Monitor) holding(now time.Time) (first *domain) {
	for _, d := range g.all {
		switch v := d.commitment(now); {
		case v == Promised:
			return d
		case v == Assumed && first == nil:
			first = d
		}
	}
	return first
}
