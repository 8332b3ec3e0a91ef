// Package learn has lists learn from the sessions in the logs of mail servers, while these are read. The rules are in
// lists/fallback and lists/earned, and what they learn is kept by lists/learnstore; this is the service around them: it has a
// queue, a clock and transactions, and publishes what was learned once it is on the disk.
//
// Nothing that decides waits for it, nor what reads the logs: a full queue, a full disk or a file system that does not
// respond costs no client an answer.
package learn

import (
	"context"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/maillog"
)

const (
	// maxQueued is how many sessions wait to be learned from: 3 MB, and 4 MB of lines of the log if TLS failed in all of them.
	// More are dropped, and counted.
	maxQueued = 10_000
	// maxBatch is how many sessions one transaction has.
	maxBatch = 2_000
	// stepTime is the time between two transactions.
	stepTime = time.Second
	// stopTime is how long the end of the service waits for a file system.
	stopTime = time.Second
)

// Options are the settings of a Service.
type Options struct {
	State      string            // path of the file that keeps what was learned
	Fallback   *fallback.Options // nil: there is no such list
	Earned     *earned.Options   // nil: there is no such list
	ObserveFor time.Duration     // for how long logs must have been followed until fallback lists count
	Watch      []string          // paths and patterns of files of the mail server
}

// Environment is what the service needs of the daemon. Its functions may be called at any time.
type Environment struct {
	Clock func() time.Time
	// Monotonic returns a time that no setting of a clock changes. nil: that of the machine.
	Monotonic func() time.Duration
	// IsFollowed reports whether all logs are read as they are written.
	IsFollowed func() bool
	// Never matches the clients of which nothing is learned.
	Never lists.Source
	// Standing returns what the other lists say of a client.
	Standing func(lists.Client) fallback.Standing
	// Enforced reports whether the fallback list for an action takes effect.
	Enforced func(lists.Action) bool
	// Await waits until the other lists know what they say of clients, for a bounded time.
	Await  func(context.Context, []lists.Client)
	Notify func(Event)
}

// Service learns from sessions. Its methods may be called at any time, also while Run is.
type Service struct {
	options     Options
	environment Environment
	time        followedTime
	queue       chan maillog.Session
	queries     chan query
	dropped     atomic.Uint64
	lists       learnedLists
	status      statusKeeper

	mu        sync.Mutex
	reasons   []string              // why the breaker is to open
	withdrawn map[netip.Addr]string // why, and of which clients, entries are to end
	stamps    map[string]string
}

// New returns a Service that goes on with the lists of previous, if that is not nil. It learns nothing before Run.
func New(o Options, e Environment, previous *Service) *Service {
	s := &Service{options: o, environment: e, queue: make(chan maillog.Session, maxQueued), queries: make(chan query)}
	s.time.init(e)
	if previous != nil {
		old := &previous.lists
		old.mu.Lock()
		s.lists.legacy, s.lists.suppress, s.lists.earned, s.lists.table, s.lists.earnedTable = old.legacy, old.suppress, old.earned, old.table, old.earnedTable
		old.mu.Unlock()
		s.time.takeOver(&previous.time)
		s.status.takeOver(&previous.status)
		s.withdrawn = previous.takeWithdrawn()
		return s
	}
	s.lists.legacy = fallback.NewList(lists.Legacy, e.Never, e.Clock)
	s.lists.suppress = fallback.NewList(lists.Suppress, e.Never, e.Clock)
	s.lists.earned = earned.NewList(e.Never)
	return s
}

// HasOptions reports whether the service has these settings.
func (s *Service) HasOptions(o Options) bool { return reflect.DeepEqual(s.options, o) }

// Followed returns for how long logs have been followed in all; known is false until the file was read.
func (s *Service) Followed() (followed time.Duration, known bool) { return s.time.get() }

// Fallback returns the fallback list for an action.
func (s *Service) Fallback(action lists.Action) *fallback.List {
	if action == lists.Legacy {
		return s.lists.legacy
	}
	return s.lists.suppress
}

// Earned returns the list of clients that earned an offer.
func (s *Service) Earned() *earned.List { return s.lists.earned }

// Clear publishes empty lists, for a command that does not know what the daemon learned.
func (s *Service) Clear() {
	s.lists.publish(nil, &earned.Table{})
}

// Add has the service learn from a session, of which it keeps a copy. It never waits. Of submission only success is of use: a
// client that completed TLS there is able to.
func (s *Service) Add(session *maillog.Session) {
	if !session.IsPort25() && session.TLS != maillog.TLSOK {
		return
	}
	select {
	case s.queue <- *session:
	default:
		if s.dropped.Add(1); s.status.noteDropped(s.environment.Clock()) {
			s.environment.Notify(Event{Kind: SessionsDropped})
		}
		s.OpenBreaker("sessions were not read, since there were too many")
	}
}

// maxWithdrawn bounds the clients that wait for Withdraw.
const maxWithdrawn = 1000

// Withdraw ends the entry of a client, if it has one, and makes the client immune, for a reason such as the report of a
// sender that relies on STARTTLS.
func (s *Service) Withdraw(addr netip.Addr, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.withdrawn == nil {
		s.withdrawn = map[netip.Addr]string{}
	}
	if len(s.withdrawn) < maxWithdrawn {
		s.withdrawn[addr] = reason
	}
}

// takeWithdrawn returns the clients that wait for Withdraw, which wait no more.
func (s *Service) takeWithdrawn() map[netip.Addr]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.withdrawn
	s.withdrawn = nil
	return taken
}

// OpenBreaker has fallback lists learn nothing for a while.
func (s *Service) OpenBreaker(reason string) {
	const maxReasons = 10
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reasons {
		if r == reason {
			return
		}
	}
	if len(s.reasons) < maxReasons {
		s.reasons = append(s.reasons, reason)
	}
}

// Enforces reports whether logs have been followed for so long that fallback lists count.
func (s *Service) Enforces() bool {
	followed, known := s.time.get()
	return known && followed >= s.options.ObserveFor
}

// Run learns until ctx ends. It waits no longer than stopTime for a file system that does not respond.
func (s *Service) Run(ctx context.Context) {
	var running sync.WaitGroup
	w := newWorker(s)
	running.Go(func() { w.run(ctx) })
	running.Go(func() { s.watch(ctx) })
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	tick := time.NewTicker(stepTime)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			for _, reason := range s.time.advance() {
				s.OpenBreaker(reason)
			}
			s.lists.endLives(s.time.moment())
		}
	}
	select {
	case <-done:
	case <-time.After(stopTime):
		s.lists.abandon()
	}
}
