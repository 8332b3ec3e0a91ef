package tlspolicy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Check checks all domains once, for commands that do not stay. It takes no longer than ctx allows, nor than ten
// minutes. It does not write the state file: only the one process that calls Run does.
func (m *Monitor) Check(ctx context.Context) {
	m.checkDue(ctx, func(*domain, time.Time) bool { return true })
	m.mu.Lock()
	defer m.mu.Unlock()
	m.updateActive(m.now(), true)
}

// Run checks all domains at once, then each of them every interval, and writes the state file, until ctx ends. It is
// called once.
func (m *Monitor) Run(ctx context.Context) {
	const maxWait = time.Minute // clocks are set, and nothing announces that
	for first := true; ; first = false {
		m.checkDue(ctx, func(d *domain, now time.Time) bool { return first || d.isDue(now, m.options.Interval) })
		m.mu.Lock()
		now := m.now()
		wait := maxWait
		for _, d := range m.domains {
			m.reportCommitment(d, now) // which may end without a check
			wait = min(wait, d.next.Sub(now))
			for _, of := range d.mechanisms() {
				if end := of.Published.endTime(); end.After(now) {
					wait = min(wait, end.Sub(now))
				}
			}
		}
		m.updateActive(now, ctx.Err() == nil)
		m.mu.Unlock()
		m.file.writeState(m.saved())
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, time.Millisecond)):
		}
	}
}

const (
	parallel      = 4                // checks at a time
	roundTimeout  = 10 * time.Minute // of all that are due
	domainTimeout = 90 * time.Second // of one domain
)

// checkDue checks the domains that are due, those first that were checked longest ago: the time may end before it came
// to all of them.
func (m *Monitor) checkDue(ctx context.Context, isDue func(*domain, time.Time) bool) {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	select {
	case m.checking <- struct{}{}:
		defer func() { <-m.checking }()
	case <-ctx.Done():
		return
	}
	m.mu.Lock()
	now := m.now()
	due := slices.Clone(m.domains)
	due = slices.DeleteFunc(due, func(d *domain) bool { return !isDue(d, now) })
	slices.SortStableFunc(due, func(a, b *domain) int { return a.begun.Compare(b.begun) })
	m.mu.Unlock()

	var checks errgroup.Group
	checks.SetLimit(parallel)
	for _, d := range due {
		checks.Go(func() error {
			if ctx.Err() == nil {
				m.checkDomain(ctx, d)
			}
			return nil
		})
	}
	_ = checks.Wait() // there is no error
}

// checkDomain checks one domain. A check that ctx cancels proves nothing; one that ends at a deadline has failed.
func (m *Monitor) checkDomain(ctx context.Context, d *domain) {
	m.mu.Lock()
	d.begun = m.now()
	cached := d.mtasts.Published.inForce(d.begun)
	m.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, domainTimeout)
	defer cancel()
	var policy finding
	var policyErr error
	var wg sync.WaitGroup
	wg.Go(func() { policy, policyErr = m.discoverPolicy(limited, d.name, cached) })
	tlsa, tlsaErr := m.discoverTLSA(limited, d.name)
	wg.Wait()
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	d.mtasts.update(policy, policyErr, now)
	d.dane.update(tlsa, tlsaErr, now)
	d.scheduleNext(now, m.options.Interval)
	m.reportCheck(d, now)
	m.reportCommitment(d, now)
	m.updateActive(now, false)
}
