// Package logs reads the logs of mail servers while they are written, and counts which clients fail at TLS. It decides
// nothing, and nothing that decides waits for it: a log that is missing, broken, far behind or on a file system that does
// not respond costs no client an answer.
package logs

import (
	"context"
	"slices"
	"sync"
	"time"

	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/maillog"
)

const (
	// pollTime is the time between two looks at a log.
	pollTime = 250 * time.Millisecond
	// pollBudget is how many bytes are read before the source rests.
	pollBudget = 1 << 20
	// restShare is how much longer than it reads the service rests, all sources together: it takes a fifth of a core at most.
	restShare = 4
	// saveTime is the time between two writes of the state file, and how much of a log is read again after a crash.
	saveTime = 10 * time.Second
	// firstSave is when the state file is written first: without one a log is read from its end, as if it had not been seen.
	firstSave = time.Second
	// stopTime is how long the end of the service waits for a file system.
	stopTime = time.Second
)

// Options are the settings of a Service.
type Options struct {
	Files   []string // absolute paths
	Journal bool     // the journal of the system
	Socket  string   // for datagrams, absolute path; "": none
	// SocketOptions are the permissions of Socket.
	SocketOptions server.SocketOptions
	State         string // path of the file that keeps up to where the logs were read; "": none
}

// JournalName is the name of the journal, beside the paths of other logs.
const JournalName = "journal"

// Names returns the names of all logs.
func (o Options) Names() []string {
	names := slices.Clone(o.Files)
	if o.Journal {
		names = append(names, JournalName)
	}
	if o.Socket != "" {
		names = append(names, o.Socket)
	}
	return names
}

// Service reads logs. Its methods may be called at any time, also while Run is.
type Service struct {
	options Options
	notify  func(Event)
	learn   func(*maillog.Session) // nil: nothing learns
	clock   func() time.Time
	tally   *tally
	sources []*source
	state   stateFile
}

// New returns a Service that continues to count where previous, if not nil, ends. It reads nothing before Run. learn, if not
// nil, is called for each session once it is counted, and must not wait; the session is valid until it returns.
func New(options Options, previous *Service, clock func() time.Time, notify func(Event), learn func(*maillog.Session)) *Service {
	s := &Service{options: options, notify: notify, clock: clock, learn: learn}
	if previous != nil {
		s.tally = previous.tally
	} else {
		s.tally = newTally(clock())
	}
	names := options.Names()
	for _, name := range names {
		s.sources = append(s.sources, s.newSource(name))
	}
	s.tally.keepSources(names)
	s.state.path, s.state.notify = options.State, notify
	return s
}

// Options returns the settings of the service.
func (s *Service) Options() Options { return s.options }

// Run reads the logs until ctx ends. It waits no longer than stopTime for a file system that does not respond.
func (s *Service) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		saved := s.state.read()
		var running sync.WaitGroup
		for _, src := range s.sources {
			running.Go(func() {
				switch src.name {
				case s.options.Socket:
					s.receive(ctx, src)
				case JournalName:
					s.followJournal(ctx, src, saved.Journal)
				default:
					s.follow(ctx, src, saved.Files[src.name])
				}
			})
		}
		stopSaving := s.saveRegularly(ctx)
		running.Wait()
		stopSaving()
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	select {
	case <-done:
	case <-time.After(stopTime):
		s.state.abandoned.Store(true)
	}
}

// saveRegularly writes the state file soon, and then from time to time, until ctx ends. The function that it returns waits
// for that, and writes it a last time.
func (s *Service) saveRegularly(ctx context.Context) (stop func()) {
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(firstSave)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s.state.write(s.position())
				tick.Reset(saveTime)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		running.Wait()
		s.state.write(s.position())
	}
}

// sleep waits until ctx ends, or for d. It reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
