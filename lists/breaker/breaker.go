// Package breaker is a circuit breaker with health checks, for an upstream of DNS answers: a zone, or the resolver.
//
// A breaker that is closed lets queries pass. Failures in a row, a failed health check or a bogus answer open it; then no
// query passes until a health check does. Before the first check it is half-open. A bogus answer also puts in doubt what the
// upstream said since its last good check; the owner is told to flush that.
package breaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists/dnsclient"
)

const (
	// CheckTimeout is how long a health check can take.
	CheckTimeout = 5 * time.Second
	// MaxFailures in a row open a breaker.
	MaxFailures = 5
	// stableAfter is how long a breaker has to stay closed before the pause between checks starts anew.
	stableAfter = time.Minute
	// Never is before all other times, but not so far that a difference to it would overflow.
	Never = math.MinInt64 / 2
)

type State uint32

const (
	// Unchecked is the state before the first health check.
	Unchecked State = iota
	// Closed lets queries pass.
	Closed
	// Open lets no query pass.
	Open
)

// String returns the word used in the API.
func (s State) String() string { return [...]string{"unchecked", "enabled", "disabled"}[s] }

// Options are the parts of a breaker that its owner provides. Times are in ns since a fixed start.
type Options struct {
	// Check is the health check: nil if it passes, a BogusError if the upstream must not be used, else why that is not known.
	Check func(ctx context.Context) error
	// Interval is the pause between health checks while closed; 0: they run only when needed, and the breaker starts closed.
	Interval time.Duration
	// FirstRetry is the first pause before a health check while open; 0: a second. Each pause is twice the one before.
	FirstRetry time.Duration
	// Lenient means that failures do not open the breaker, but only have a health check run.
	Lenient bool
	// Clock returns the present time.
	Clock func() int64
	// OnOpen is called when the breaker opens. It must not call the breaker.
	OnOpen func(why string, was State)
	// OnClose is called when the breaker closes after it was open. It must not call the breaker.
	OnClose func(openFor time.Duration)
	// Flush is called when answers since that time are in doubt.
	Flush func(since int64)
}

// Breaker is a circuit breaker. It is safe for concurrent use.
type Breaker struct {
	options Options

	state     atomic.Uint32
	since     atomic.Int64                  // when state changed last
	checkedAt atomic.Int64                  // when the last health check began, or Never
	failures  atomic.Int32                  // in a row
	positives atomic.Int32                  // positive answers in a row
	share     atomic.Int32                  // of positive answers lately, in 1/positiveUnit
	kick      chan struct{}                 // has a health check run now
	first     atomic.Pointer[chan struct{}] // closed when the first health check is over; nil: it is
	opened    atomic.Uint64
	checks    atomic.Uint64

	mu       sync.Mutex
	why      string // it is open, or the last failure
	passedAt int64  // when the last good health check began, or Never
	stable   bool   // it was closed for long before it opened
	flushed  bool   // answers since passedAt
}

func New(o Options) *Breaker {
	o.FirstRetry = cmp.Or(max(o.FirstRetry, 0), time.Second)
	b := &Breaker{options: o, kick: make(chan struct{}, 1), passedAt: Never}
	b.checkedAt.Store(Never)
	if o.Interval == 0 {
		b.state.Store(uint32(Closed))
	}
	return b
}

// Reset makes a breaker with regular health checks half-open again, for an upstream that was not used for some time.
func (b *Breaker) Reset() {
	if b.options.Interval > 0 {
		b.state.Store(uint32(Unchecked))
	}
}

func (b *Breaker) State() State { return State(b.state.Load()) }

// Since returns when the state changed last.
func (b *Breaker) Since() int64 { return b.since.Load() }

// CheckedAt returns when the last health check began, or Never.
func (b *Breaker) CheckedAt() int64 { return b.checkedAt.Load() }

// Reason returns why the breaker is open, or the last failure since the last good health check.
func (b *Breaker) Reason() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}

// Counts returns how many health checks ran, and how often the breaker opened.
func (b *Breaker) Counts() (checks, opened uint64) { return b.checks.Load(), b.opened.Load() }

// Record takes into account a query that began then: its error, or whether its answer was positive, such as a listing.
func (b *Breaker) Record(began int64, positive bool, err error) {
	switch {
	case err == nil:
		b.failures.Store(0)
		b.recordPositive(positive)
	case began < b.since.Load(): // it says nothing about the present state
	case dnsclient.IsBogus(err):
		b.setOpen(describe(err), false)
	default:
		b.recordFailure(err)
	}
}

// recordFailure counts a failure, which can open the breaker.
func (b *Breaker) recordFailure(err error) {
	b.mu.Lock()
	if b.State() != Open {
		b.why = describe(err)
	}
	b.mu.Unlock()
	if b.options.Lenient && dnsclient.KindOf(err).Answered() {
		b.failures.Store(0)
		return
	}
	switch n := b.failures.Add(1); {
	case n < MaxFailures || b.State() != Closed:
	case b.options.Lenient:
		b.checkSoon()
	default:
		b.setOpen(fmt.Sprintf("%d queries in a row failed, the last with %s", n, describe(err)), false)
	}
}

// recordPositive has a health check run at once if many answers in a row are positive and most were not before: a list that
// is given up may begin to list all clients.
func (b *Breaker) recordPositive(positive bool) {
	const inRow, positiveUnit, window = 8, 1 << 16, 64
	share, now := b.share.Load(), int32(0)
	if positive {
		now = positiveUnit
	}
	b.share.Store(share + (now-share)/window)
	switch {
	case !positive:
		b.positives.Store(0)
	case b.positives.Add(1)%inRow == 0 && share < positiveUnit/2 && b.options.Interval > 0:
		b.checkSoon()
	}
}

// setClosed closes the breaker after a good health check that began then.
func (b *Breaker) setClosed(began int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passedAt, b.flushed = began, false
	b.failures.Store(0)
	b.why = ""
	was := State(b.state.Swap(uint32(Closed)))
	if was == Closed {
		return
	}
	now := b.options.Clock()
	openFor := time.Duration(now - b.since.Swap(now)).Round(time.Millisecond)
	if was == Open {
		b.options.OnClose(openFor)
	}
}

// setOpen opens the breaker. With flush all answers since the last good health check are in doubt.
func (b *Breaker) setOpen(why string, flush bool) {
	now := b.options.Clock()
	b.mu.Lock()
	b.why = why
	was := State(b.state.Swap(uint32(Open)))
	if was != Open {
		b.stable = now-b.since.Swap(now) >= int64(stableAfter)
		b.opened.Add(1)
		b.options.OnOpen(why, was)
	}
	flush = flush && !b.flushed
	b.flushed = b.flushed || flush
	passedAt := b.passedAt
	b.mu.Unlock()
	if flush {
		b.options.Flush(passedAt)
	}
	if was != Open {
		b.positives.Store(0)
		b.checkSoon()
	}
}

// describe returns err without the query.
func describe(err error) string {
	var e *dnsclient.Error
	switch {
	case dnsclient.IsBogus(err):
		return err.Error()
	case errors.As(err, &e):
		return e.Reason()
	}
	return dnsclient.KindOf(err).String()
}
