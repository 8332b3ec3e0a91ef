// Package state keeps the policy up to date: it loads config and lists, follows their changes on disk, and answers
// meanwhile from the last good state.
//
// Everything that decides an answer is one [Snapshot], which is replaced as a whole. So every answer comes from one state
// of config and lists that was on disk, and never from a mix of two. follow.go says how such a state is found.
package state

import (
	"context"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/ratelimit"
	"ehlogate/policyd"
)

// Manager answers from the present snapshot, and replaces it.
type Manager struct {
	load    func() (*config.Config, error)
	clock   func() time.Time
	log     *logrus.Logger
	times   times
	current atomic.Pointer[Snapshot]

	// The goroutine of Run owns the fields from here on.
	lists    []*trackedList         // the lists of files in the current snapshot
	reload   *pendingReload         // nil: no reload is under way
	queued   []func()               // reloads requested while one is under way
	retryAt  time.Time              // when a reload that failed to read a file is tried again; zero: never
	scans    int                    // number of scans so far
	lastScan time.Duration          // duration of the last scan
	large    bool                   // a large list was loaded since the last snapshot
	failOpen *ratelimit.FailOpenLog // nil: DNS was never used

	started *config.Config // the config of the sockets and of the log
	uses    *useCounter    // nil: uses of entries are not counted

	learning learning

	reloadFailures atomic.Uint64
	configFault    atomic.Pointer[configFault] // of the last reload; nil: it succeeded
}

// New loads the lists of cfg and returns a Manager that answers from them. A list that cannot be loaded is logged and
// unavailable; it does not stop the start. load reads the config again for a reload.
func New(cfg *config.Config, load func() (*config.Config, error), clock func() time.Time, log *logrus.Logger) *Manager {
	m := &Manager{load: load, clock: clock, log: log, started: cfg, times: defaultTimes}
	if load != nil { // a daemon
		m.uses = newUseCounter(cfg.Edits.Used, clock, log)
	}
	m.lists = m.trackLists(cfg, nil)
	m.loadAtStart(context.Background(), m.lists)
	m.publish(m.buildSnapshot(cfg, nil, m.lists))
	m.logChanges(m.lists)
	return m
}

// Load is New for a command that does without the daemon: it logs nothing, and there is no reload.
func Load(cfg *config.Config, clock func() time.Time) *Manager {
	log := logrus.New()
	log.SetOutput(io.Discard)
	m := New(cfg, nil, clock, log)
	m.Snapshot().emptyLearned()
	return m
}

// Snapshot returns the present snapshot.
func (m *Manager) Snapshot() *Snapshot { return m.current.Load() }

// Decide decides about a new session by the present policy.
func (m *Manager) Decide(ctx context.Context, c lists.Client) lists.Decision {
	return m.current.Load().Policy.Decide(ctx, c)
}

// Review decides again about a session that Decide saw before, for protocols that report on it.
func (m *Manager) Review(ctx context.Context, c lists.Client) lists.Decision {
	return m.current.Load().Policy.Review(ctx, c)
}

// DecideCached is Decide without a wait. It is a lists.DeciderFunc.
func (m *Manager) DecideCached(_ context.Context, c lists.Client) lists.Decision {
	return m.current.Load().Policy.DecideCached(c)
}

// ReviewCached is Review without a wait. It is a lists.DeciderFunc.
func (m *Manager) ReviewCached(_ context.Context, c lists.Client) lists.Decision {
	return m.current.Load().Policy.ReviewCached(c)
}

// SnapshotOf returns the snapshot that d was made from; the present one if no policy made d.
func (m *Manager) SnapshotOf(d lists.Decision) *Snapshot {
	if s, ok := d.Settings.(*Snapshot); ok {
		return s
	}
	return m.Snapshot()
}

// Values returns the values of the maps, by the config that d was made from.
func (m *Manager) Values(d lists.Decision) *policyd.Values { return m.SnapshotOf(d).Values }

// ReloadFailures returns the number of failed reloads of the config.
func (m *Manager) ReloadFailures() uint64 { return m.reloadFailures.Load() }

// Run follows the files of the lists and runs the background services until ctx is done. It reloads config and lists for
// each function received from reload, and calls the function when the reload has ended. Only Run replaces the snapshot,
// so there is one order of changes.
func (m *Manager) Run(ctx context.Context, reload <-chan func()) {
	var running services
	defer running.switchTo(context.Background(), background{}) // stop all
	defer m.uses.start(ctx)()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		running.switchTo(ctx, m.Snapshot().background)
		select {
		case <-ctx.Done():
			return
		case done := <-reload:
			m.beginReload(done)
			next.Reset(0)
		case <-next.C:
			next.Reset(m.followFiles(ctx))
		}
	}
}

func (m *Manager) publish(s *Snapshot) {
	m.current.Store(s)
	m.learning.follow(s)
	if m.large {
		m.large = false
		// Loading a large list, and the list before it, took half of the memory that the daemon has. Go would keep it
		// for minutes.
		debug.FreeOSMemory()
	}
}
