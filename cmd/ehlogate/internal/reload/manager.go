// Package engine keeps the policy alive: it loads config and lists, follows
// their changes, and lets questions be answered meanwhile from what was last
// found good.
//
// All that decides an answer is one snapshot, [Live], which is replaced as a
// whole. So an answer is that of one state of config and lists which was on disk
// (see follow.go for how such a state is found), and never of a mix.
package reload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
	"ehlogate/lists/ratelimit"
	"ehlogate/policyd"
)

// Snapshot is one state of config, policy and lists. It is immutable, but for what
// DNS lists learn.
type Snapshot struct {
	Config     *config.Config
	Policy     *lists.Policy
	Keywords   *policyd.Keywords
	Sources    []ListSource // by list, in the order of the config
	background              // what is asked beside, by all lists together
}

// ListSource is that of a list, of one kind.
type ListSource struct {
	File *listfile.List
	DNS  *dnsbl.List
}

// Files gives the lists that are made of files.
func (l *Snapshot) Files() iter.Seq2[config.List, *listfile.List] {
	return func(yield func(config.List, *listfile.List) bool) {
		for i, s := range l.Sources {
			if s.File != nil && !yield(l.Config.Lists[i], s.File) {
				return
			}
		}
	}
}

// Manager answers from the present Live, and replaces it.
type Manager struct {
	load  func() (*config.Config, error)
	clock func() time.Time
	log   *logrus.Logger
	times times
	live  atomic.Pointer[Snapshot]

	// What follows belongs to the goroutine of Run.
	lists  []*tracked             // the lists of live that are made of files
	reload *pendingReload         // nil: none is under way
	again  []func()               // reloads that were asked for meanwhile
	looks  int                    // so far
	retry  time.Time              // when a reload is tried again that failed for an error of reading; zero: never
	looked time.Duration          // what the last look took
	large  bool                   // a large list was read since the last publish
	offers *ratelimit.FailOpenLog // nil: nothing was ever asked by DNS

	started *config.Config // whose sockets and log are in use

	reloadFailures atomic.Uint64
	reloadError    atomic.Pointer[error] // of the last reload; nil if it was good
}

var _ policyd.Decider = (*Manager)(nil)

// New makes the first Live of cfg. Lists that cannot be loaded are logged and
// stay unavailable; they never stop the start. load reads the config again when
// a reload is asked for.
func New(cfg *config.Config, load func() (*config.Config, error), clock func() time.Time, log *logrus.Logger) *Manager {
	e := &Manager{load: load, clock: clock, log: log, started: cfg, times: defaultTimes}
	e.lists = e.track(cfg, nil)
	e.loadNow(context.Background(), e.lists)
	e.publish(e.build(cfg, nil, e.lists))
	e.tell(e.lists)
	return e
}

// Snapshot is the present state.
func (e *Manager) Snapshot() *Snapshot { return e.live.Load() }

// Decide answers from the present policy, about a new session.
func (e *Manager) Decide(ctx context.Context, c lists.Client) lists.Decision {
	return e.live.Load().Policy.Decide(ctx, c)
}

// Review answers from the present policy, for who reports on a session.
func (e *Manager) Review(ctx context.Context, c lists.Client) lists.Decision {
	return e.live.Load().Policy.Review(ctx, c)
}

// SnapshotOf is the state that a decision was made from; the present one if the decision
// was not made by a policy.
func (e *Manager) SnapshotOf(d lists.Decision) *Snapshot {
	if l, ok := d.Settings.(*Snapshot); ok {
		return l
	}
	return e.Snapshot()
}

// Keywords are those for a decision.
func (e *Manager) Keywords(d lists.Decision) *policyd.Keywords { return e.SnapshotOf(d).Keywords }

// ReloadFailures counts the reloads of the config that were refused.
func (e *Manager) ReloadFailures() uint64 { return e.reloadFailures.Load() }

// ReloadError is why the last reload was refused; nil if it was not.
func (e *Manager) ReloadError() error {
	if err := e.reloadError.Load(); err != nil {
		return *err
	}
	return nil
}

// Run follows the files of the lists, and asks what is asked beside, until ctx
// ends, and reads config and lists again for each function on reload, which it
// calls when that is done. Nothing else replaces the policy, so there is one
// order in which things change.
func (e *Manager) Run(ctx context.Context, reload <-chan func()) {
	var beside services
	defer beside.stop()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		beside.run(ctx, e.Snapshot().background)
		select {
		case <-ctx.Done():
			return
		case done := <-reload:
			e.beginReload(done)
			next.Reset(0)
		case <-next.C:
			next.Reset(e.follow(ctx))
		}
	}
}

// build makes a Live of cfg and of lists that were loaded for it.
func (e *Manager) build(cfg *config.Config, old *Snapshot, files []*tracked) *Snapshot {
	live := &Snapshot{Config: cfg, Keywords: policyd.NewKeywords(cfg.AlwaysHide, cfg.ExplicitOffer),
		Policy: &lists.Policy{Default: cfg.Default, Mode: cfg.Mode}}
	live.Policy.Settings = live
	e.ask(live, old)
	for _, l := range cfg.Lists {
		var s ListSource
		if l.IsDNSList() {
			s.DNS = live.dns.List(l.Zones)
		} else {
			s.File, files = files[0].source, files[1:]
		}
		live.add(l, s)
	}
	return live
}

// add adds a list to the policy.
func (l *Snapshot) add(c config.List, s ListSource) {
	list := &lists.List{Name: c.Name, Action: c.Action, Mode: c.Mode, Source: s.File, External: c.IsExternal()}
	if s.DNS != nil {
		list.Source = s.DNS
	}
	l.Sources = append(l.Sources, s)
	l.Policy.Lists = append(l.Policy.Lists, list)
}

// with returns a Live that differs in the sources of files alone.
func (l *Snapshot) with(files []*tracked) *Snapshot {
	next, policy := *l, *l.Policy
	next.Policy, next.Sources, policy.Lists, policy.Settings = &policy, nil, nil, &next
	for i, c := range l.Config.Lists {
		s := l.Sources[i]
		if s.File != nil {
			s.File, files = files[0].source, files[1:]
		}
		next.add(c, s)
	}
	return &next
}

// publish puts a state in force.
func (e *Manager) publish(live *Snapshot) {
	e.live.Store(live)
	if e.large {
		e.large = false
		releaseMemory()
	}
}

// beginReload begins to read the config, in a goroutine of its own since its file
// system may hang. follow does the rest: lists must be complete before they are
// read. A reload that is under way ends first.
func (e *Manager) beginReload(done ...func()) {
	if e.reload != nil {
		e.again = append(e.again, done...)
		return
	}
	e.reload = &pendingReload{done: done, begun: time.Now(), loads: make(chan configLoad, 1)}
	load, result := e.load, e.reload.loads
	go func() {
		cfg, err := load()
		result <- configLoad{cfg, err}
	}()
}

// awaitConfig takes the config of a reload when it has been read.
func (e *Manager) awaitConfig() {
	r := e.reload
	if r.config != nil {
		return
	}
	var got configLoad
	select {
	case got = <-r.loads:
	case <-time.After(e.times.busy):
		if !r.hung && time.Since(r.begun) > e.times.hung {
			r.hung = true
			e.refused(errHung(e.Snapshot().Config.File))
		}
		return
	}
	old, err := e.Snapshot().Config, got.err
	if err == nil && got.config.File == "" && old.File != "" {
		err = fmt.Errorf("%s is gone", old.File)
	}
	if path := new(fs.PathError); errors.As(err, &path) && !listfile.IsContent(err) {
		err = listfile.NewUnreadError(path.Path, path)
	}
	if err != nil {
		e.endReload(err)
		return
	}
	r.config, r.lists = got.config, e.track(got.config, e.lists)
}

// refused counts and tells that a reload does not take place, if that is news.
func (e *Manager) refused(err error) {
	if before := e.ReloadError(); before != nil && before.Error() == err.Error() && errors.As(err, new(listfile.UnreadError)) {
		return
	}
	e.reloadFailures.Add(1)
	e.reloadError.Store(&err)
	e.logProblems(e.log.WithField("config", e.Snapshot().Config.File), err, "reload refused, the old config stays")
}

// Reload reads config and lists again, as Run does, for a caller without Run.
func (e *Manager) Reload(ctx context.Context) error {
	ended := false
	e.beginReload(func() { ended = true })
	for !ended {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(e.follow(ctx)):
		}
	}
	return e.ReloadError()
}

// endReload puts the new config in force, or refuses it, which changes nothing.
func (e *Manager) endReload(err error) {
	r := e.reload
	e.reload, e.retry = nil, time.Time{}
	defer func() {
		for _, done := range r.done {
			done()
		}
		if again := e.again; len(again) > 0 {
			e.again = nil
			e.beginReload(again...)
		}
	}()
	if err != nil {
		for _, t := range r.lists {
			t.next = nil
		}
		if errors.As(err, new(listfile.UnreadError)) {
			e.retry = time.Now().Add(reloadAgain)
		}
		e.refused(err)
		return
	}
	for _, t := range r.lists {
		t.adopt()
	}
	live := e.build(r.config, e.Snapshot(), r.lists)
	e.lists = r.lists
	e.publish(live)
	e.reloadError.Store(nil)
	live.retain()
	e.tell(r.lists)
	e.log.SetLevel(r.config.Log.Level)
	if !reflect.DeepEqual(r.config.Listen, e.started.Listen) || r.config.Log.JSON != e.started.Log.JSON {
		e.log.Warn("[listen] or the log format differ from what is in use: they need a restart to take effect")
	}
	e.log.WithFields(logrus.Fields{"config": r.config.File, "lists": len(r.config.Lists)}).Info("config reloaded")
}

// withoutList says what follows from a list that is unavailable.
func withoutList(l config.List) string {
	if l.Action == lists.Suppress || l.Mode == lists.Observe {
		return "it is skipped"
	}
	return "every client that no list before it holds is offered STARTTLS"
}

// logProblems logs each of the problems in err on a line of its own.
func (e *Manager) logProblems(log *logrus.Entry, err error, what string) {
	var ps *listfile.Problems
	if !errors.As(err, &ps) {
		log.WithError(err).Error(what)
		return
	}
	for _, p := range ps.First {
		log.Error(p.Error())
	}
	log.WithField("problems", ps.Total).Error(what)
}
