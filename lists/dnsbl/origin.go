package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// flightTime is how long asking one thing may take in all; an Asker gives up
	// before that as a rule.
	flightTime = 5 * time.Second
	// failures in a row open a breaker.
	failures = 5
	// firstRetest and lastRetest are the pauses before tests of what is open: each
	// is twice the one before it. In the end they come as often as those of a zone
	// that is trusted, so that the end of an outage is seen soon, however long it was.
	firstRetest, lastRetest = time.Second, testEvery
	// calm is how long a breaker has to stay closed before the next pause is
	// the first one again.
	calm = time.Minute
)

// breakerState is what answers of an origin are worth.
type breakerState uint32

const (
	halfOpen breakerState = iota // it is not known yet
	closed
	open // as in a circuit breaker: it is not asked about clients
)

// String gives the word that stands in State.
func (t breakerState) String() string { return [...]string{"half-open", "closed", "open"}[t] }

// upstream is what answers questions of one kind: a zone, or reverse DNS. It is a
// circuit breaker, too.
type upstream struct {
	service *Client
	id      uint32
	log     logrus.FieldLogger
	what    string // for logs: "zone list.example"

	// find asks about k, and gives what entry.said holds.
	find func(ctx context.Context, k *key) (said string, ttl time.Duration, err error)
	// fits says whether k can be asked; if not, there is nothing to find.
	fits func(k key) bool
	// probe finds out whether the origin is to be believed: nil if so, a lie if
	// it must not be, else why that could not be found out.
	probe func(ctx context.Context) error
	// every is the pause between tests of what is trusted; 0: only if kicked.
	every time.Duration
	// again is the first pause before a test of what is open.
	again time.Duration
	// patience is for how long a failure is remembered.
	patience time.Duration
	// lenient: failures show nothing but that a probe is due.
	lenient bool

	trust   atomic.Uint32        // a trust
	trust6  atomic.Uint32        // the same for questions about IPv6 addresses
	testing atomic.Pointer[call] // the first test, while it is under way
	gen     atomic.Uint64        // answers to what was asked in an earlier one are void
	since   atomic.Int64         // when trust changed last
	tested  atomic.Int64         // when the last test began, or never
	row     atomic.Int32         // failures in a row
	lists   atomic.Int32         // answers in a row that list somebody
	share   atomic.Int32         // how many do, of late
	flying  atomic.Int32         // questions in flight
	kick    chan struct{}        // test now
	stop    context.CancelFunc   // of watch

	counters

	mu              sync.Mutex
	why             string // it is open, or what failed last
	why6            string
	passed, passed6 int64 // when the last test began that it passed, or never
	steady          bool  // it was trusted for long before it was opened
	void            bool  // what it said since passed is forgotten
}

// setUp prepares an origin of s, whose lock is held.
func (o *upstream) setUp(s *Client, what string) {
	s.lastID++
	o.service, o.id, o.what, o.log = s, s.lastID, what, s.log
	o.again = firstRetest
	o.kick, o.stop = make(chan struct{}, 1), func() {}
	o.passed, o.passed6 = never, never
	o.tested.Store(never)
}

// never is before all other times, but not so far that the difference to them
// could not be told.
const never = math.MinInt64 / 2

// believed says whether k may be asked and an answer to it counts.
func (o *upstream) believed(k *key) bool {
	return breakerState(o.trust.Load()) == closed && (!k.is6() || breakerState(o.trust6.Load()) == closed)
}

// watch tests o until the service ends, or o is stopped. It is called with the
// lock of the service held, while that runs.
func (s *Client) watch(o *upstream) {
	ctx, stop := context.WithCancel(s.ctx)
	o.stop = stop
	if breakerState(o.trust.Load()) == halfOpen {
		o.testing.Store(&call{done: make(chan struct{})})
	}
	s.goroutine.Go(func() {
		defer stop()
		defer o.tellFirst()
		o.watch(ctx)
	})
}

func (o *upstream) watch(ctx context.Context) {
	tries := 0
	for {
		var due <-chan time.Time
		kick := o.kick
		switch breakerState(o.trust.Load()) {
		case halfOpen:
			due = time.After(0)
		case closed:
			if o.every > 0 {
				due = time.After(jitter(o.every))
			}
		case open:
			o.mu.Lock()
			if o.steady {
				tries, o.steady = 0, false
			}
			o.mu.Unlock()
			due, kick = time.After(jitter(min(o.again<<min(tries, 20), lastRetest))), nil
			tries++
		}
		select {
		case <-ctx.Done():
			return
		case <-kick:
			if breakerState(o.trust.Load()) == closed && !o.apart(ctx) {
				return
			}
			if breakerState(o.trust.Load()) == open {
				continue // by its answers, just now
			}
		case <-due:
		}
		o.test(ctx)
	}
}

// jitter keeps what began together from staying together.
func jitter(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5) }

func (o *upstream) test(ctx context.Context) {
	began := o.service.now()
	o.tested.Store(began)
	o.tests.Add(1)
	select { // who asked for a test gets this one
	case <-o.kick:
	default:
	}
	within, cancel := context.WithTimeout(ctx, flightTime)
	err := o.probe(within)
	cancel()
	var l bogusAnswer
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		o.pass(began)
	case errors.As(err, &l):
		o.trip(string(l), true)
	case breakerState(o.trust.Load()) == closed && !o.lenient:
		o.failed(err)
	default:
		o.trip(reasonOf(err).text(err), false)
	}
	o.tellFirst()
}

// tellFirst lets those go on who wait for the first test.
func (o *upstream) tellFirst() {
	if f := o.testing.Swap(nil); f != nil {
		close(f.done)
	}
}

// apart keeps tests that are asked for from following each other too closely. It
// says false if ctx is over.
func (o *upstream) apart(ctx context.Context) bool {
	const least = 5 * time.Second
	rest := time.NewTimer(least - time.Duration(o.service.now()-o.tested.Load()))
	defer rest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-rest.C:
		return true
	}
}

// testSoon asks for a test.
func (o *upstream) testSoon() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

// pass closes the breaker: a test that began then was passed.
func (o *upstream) pass(began int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.passed, o.void = began, false
	o.row.Store(0)
	o.why = ""
	was := breakerState(o.trust.Swap(uint32(closed)))
	if was == closed {
		return
	}
	now := o.service.now()
	since := time.Duration(now - o.since.Swap(now)).Round(time.Millisecond)
	if was == open {
		o.log.Infof("%s is asked again, after %v", o.what, since)
	}
}

// trip opens the breaker. After a lie all is forgotten that was said since a
// test was passed, as it may have been lies, too.
func (o *upstream) trip(why string, lied bool) {
	now := o.service.now()
	o.mu.Lock()
	o.why = why
	was := breakerState(o.trust.Swap(uint32(open)))
	if was != open {
		o.steady = now-o.since.Swap(now) >= int64(calm)
		o.opened.Add(1)
		o.tellOpen(was)
	}
	forget := lied && !o.void
	if forget {
		o.void = true
		o.gen.Add(1)
	}
	passed := o.passed
	o.mu.Unlock()
	if forget {
		o.service.memory.drop(func(k *key, e *entry) bool { return k.of == o.id && e.came >= passed })
	}
	if was != open {
		o.lists.Store(0)
		select {
		case o.kick <- struct{}{}:
		default:
		}
	}
}

func (o *upstream) tellOpen(was breakerState) {
	then := "clients count as unknown"
	if stale := o.service.config.Stale; was == closed && stale > 0 {
		then = fmt.Sprintf("answers from before are used for up to %v, clients without one count as unknown", stale)
	}
	o.log.Warnf("%s is not asked until it passes a test: %s; %s", o.what, o.why, then)
}

// note takes into account how a question that was asked then went.
func (o *upstream) note(began int64, said string, err error) {
	var l bogusAnswer
	switch {
	case err == nil:
		o.row.Store(0)
		o.streak(said != "")
	case errors.As(err, &l):
		if began >= o.since.Load() {
			o.trip(string(l), false)
		}
	case began >= o.since.Load(): // what was asked before is about the past
		o.failed(err)
	}
}

// failed notes that asking failed, which may open the breaker.
func (o *upstream) failed(err error) {
	why := reasonOf(err)
	o.mu.Lock()
	if breakerState(o.trust.Load()) != open {
		o.why = why.text(err)
	}
	o.mu.Unlock()
	if o.lenient && why.alive() {
		o.row.Store(0)
		return
	}
	switch n := o.row.Add(1); {
	case n < failures || breakerState(o.trust.Load()) != closed:
	case o.lenient:
		o.testSoon()
	default:
		o.trip(fmt.Sprintf("%d questions in a row failed, the last with %s", n, why.text(err)), false)
	}
}

// streak has a test made at once if many answers in a row list somebody, where
// most did not before.
func (o *upstream) streak(listed bool) {
	const many, one, memory = 8, 1 << 16, 64
	share, is := o.share.Load(), int32(0)
	if listed {
		is = one
	}
	o.share.Store(share + (is-share)/memory)
	switch {
	case !listed:
		o.lists.Store(0)
	case o.lists.Add(1)%many == 0 && share < one/2 && o.every > 0:
		o.testSoon()
	}
}
