package breaker

import (
	"context"
	"math/rand/v2"
	"time"

	"ehlogate/lists/dnsclient"
)

const (
	// maxRetry is the longest pause between health checks while open. It is as short as that of a closed breaker, so that the
	// end of an outage is seen soon, however long it was.
	maxRetry = 30 * time.Second
	// checkSpacing is the pause between health checks of a closed breaker that are due at once.
	checkSpacing = 5 * time.Second
)

// Start announces Run, so that FirstCheck is right from now on.
func (b *Breaker) Start() {
	if b.State() == Unchecked {
		done := make(chan struct{})
		b.first.Store(&done)
	}
}

// FirstCheck returns a channel that is closed when the first health check is over; nil if it is, or none is running.
func (b *Breaker) FirstCheck() <-chan struct{} {
	if done := b.first.Load(); done != nil {
		return *done
	}
	return nil
}

// Run runs health checks until ctx ends.
func (b *Breaker) Run(ctx context.Context) {
	defer b.endFirstCheck()
	retries := 0
	for {
		var due <-chan time.Time
		kick := b.kick
		switch b.State() {
		case Unchecked:
			due = time.After(0)
		case Closed:
			if b.options.Interval > 0 {
				due = time.After(jitter(b.options.Interval))
			}
		case Open:
			b.mu.Lock()
			if b.stable {
				retries, b.stable = 0, false
			}
			b.mu.Unlock()
			due, kick = time.After(jitter(min(b.options.FirstRetry<<min(retries, 20), maxRetry))), nil
			retries++
		}
		select {
		case <-ctx.Done():
			return
		case <-kick:
			if b.State() == Closed && !b.awaitSpacing(ctx) {
				return
			}
			if b.State() == Open {
				continue // a query opened it just now
			}
		case <-due:
		}
		b.check(ctx)
	}
}

// jitter keeps health checks of several upstreams from running at the same time.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5) }

func (b *Breaker) check(ctx context.Context) {
	began := b.options.Clock()
	b.checkedAt.Store(began)
	b.checks.Add(1)
	select { // this check is the one that was due
	case <-b.kick:
	default:
	}
	within, cancel := context.WithTimeout(ctx, CheckTimeout)
	err := b.options.Check(within)
	cancel()
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		b.setClosed(began)
	case dnsclient.IsBogus(err):
		b.setOpen(describe(err), true)
	case b.State() == Closed && !b.options.Lenient:
		b.recordFailure(err)
	default:
		b.setOpen(describe(err), false)
	}
	b.endFirstCheck()
}

// endFirstCheck wakes callers that wait for the first health check.
func (b *Breaker) endFirstCheck() {
	if done := b.first.Swap(nil); done != nil {
		close(*done)
	}
}

// awaitSpacing waits until the last health check is long enough ago. It returns false if ctx is over.
func (b *Breaker) awaitSpacing(ctx context.Context) bool {
	rest := time.NewTimer(checkSpacing - time.Duration(b.options.Clock()-b.checkedAt.Load()))
	defer rest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-rest.C:
		return true
	}
}

// checkSoon has a health check run as soon as one can.
func (b *Breaker) checkSoon() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}
