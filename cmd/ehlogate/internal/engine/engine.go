// Package engine keeps the policy alive: it loads config and lists, follows
// their changes, and lets questions be answered meanwhile from what was last
// found good.
package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/dns"
	"ehlogate/lists/file"
	"ehlogate/lists/shed"
	"ehlogate/policyd"
)

// Live is one state of config and policy. It is immutable but for the tables
// of its sources.
type Live struct {
	Config  *config.Config
	Policy  *lists.Policy
	Words   *policyd.Words
	Sources []Source // by list, in the order of the config
	asking           // what is asked beside, by all lists together
}

// Source is that of a list, of one kind.
type Source struct {
	File *file.Source
	DNS  *dns.Source
}

// Files gives the lists that are made of files.
func (l *Live) Files() iter.Seq2[config.List, *file.Source] {
	return func(yield func(config.List, *file.Source) bool) {
		for i, s := range l.Sources {
			if s.File != nil && !yield(l.Config.Lists[i], s.File) {
				return
			}
		}
	}
}

// Engine answers from the present Live, and replaces it.
type Engine struct {
	load  func() (*config.Config, error)
	clock func() time.Time
	log   *logrus.Logger
	live  atomic.Pointer[Live]

	offers *shed.Offers // nil: nothing was ever asked by DNS

	started *config.Config // whose sockets and log are in use

	reloadFailures atomic.Uint64
	reloadError    atomic.Pointer[error] // of the last reload; nil if it was good
}

var _ policyd.Decider = (*Engine)(nil)

// New makes the first Live of cfg. Lists that cannot be loaded are logged and
// stay unloaded; they never stop the start. load reads the config again when
// a reload is asked for.
func New(cfg *config.Config, load func() (*config.Config, error), clock func() time.Time, log *logrus.Logger) *Engine {
	e := &Engine{load: load, clock: clock, log: log, started: cfg}
	live, _ := e.build(cfg, nil)
	e.live.Store(live)
	return e
}

// Live is the present state.
func (e *Engine) Live() *Live { return e.live.Load() }

// Decide answers from the present policy, about a new session.
func (e *Engine) Decide(ctx context.Context, c lists.Client) lists.Decision {
	return e.live.Load().Policy.Decide(ctx, c)
}

// Review answers from the present policy, for who reports on a session.
func (e *Engine) Review(ctx context.Context, c lists.Client) lists.Decision {
	return e.live.Load().Policy.Review(ctx, c)
}

// Words are those of the present config.
func (e *Engine) Words() *policyd.Words { return e.live.Load().Words }

// ReloadFailures counts the reloads of the config that were refused.
func (e *Engine) ReloadFailures() uint64 { return e.reloadFailures.Load() }

// ReloadError is why the last reload was refused; nil if it was not.
func (e *Engine) ReloadError() error {
	if err := e.reloadError.Load(); err != nil {
		return *err
	}
	return nil
}

// Run follows the files of the lists, and asks what is asked beside, until ctx
// ends, and reads config and lists again for each function on reload, which it
// then calls. Nothing else replaces the policy, so there is one order in which
// things change.
func (e *Engine) Run(ctx context.Context, reload <-chan func()) {
	w := file.NewWatcher(e.log)
	defer w.Close()
	report, stopped := make(chan map[string]bool), make(chan struct{})
	follow := func() {
		var files []*file.Source
		for _, s := range e.Live().Files() {
			files = append(files, s)
		}
		w.Follow(files)
	}
	follow()
	go func() { defer close(stopped); w.Run(ctx, report) }()
	defer func() { <-stopped }()
	var beside runner
	defer beside.stop()
	beside.run(ctx, e.Live().asking)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case done := <-reload:
			if err := e.Reload(); err != nil {
				e.logProblems(e.log.WithField("config", e.Live().Config.File), err, "reload refused, the old config stays")
			}
			beside.run(ctx, e.Live().asking)
			done()
		case touched := <-report:
			for l, s := range e.Live().Files() {
				if s.Stale(touched) {
					e.loadList(l, s)
				}
			}
		case <-tick.C:
			for l, s := range e.Live().Files() {
				if s.Tick(e.clock()) {
					e.logAge(l, s)
				}
			}
			continue
		}
		follow()
	}
}

// Reload reads the config and all lists. A list that is not new and has a
// fault keeps its table; any other fault refuses the new config, in which case
// the lists that were already there may still have been loaded anew.
func (e *Engine) Reload() error {
	old := e.Live()
	cfg, err := e.load()
	if err == nil && cfg.File == "" && old.Config.File != "" {
		err = fmt.Errorf("%s is gone", old.Config.File)
	}
	if err == nil {
		var live *Live
		if live, err = e.build(cfg, old); err == nil {
			e.live.Store(live)
			e.reloadError.Store(nil)
			live.retain()
			e.log.SetLevel(cfg.Log.Level)
			if !reflect.DeepEqual(cfg.Listen, e.started.Listen) || cfg.Log.JSON != e.started.Log.JSON {
				e.log.Warn("[listen] or the log format differ from what is in use: they need a restart to take effect")
			}
			e.log.WithFields(logrus.Fields{"config": cfg.File, "lists": len(cfg.Lists)}).Info("config reloaded")
			return nil
		}
	}
	old.retain() // what was added before it failed
	e.reloadFailures.Add(1)
	e.reloadError.Store(&err)
	return err
}

// build makes a Live of cfg. Sources of old that are made of the same files
// are kept, with their tables, and loaded again; the others must load if
// there is an old.
func (e *Engine) build(cfg *config.Config, old *Live) (*Live, error) {
	live := &Live{Config: cfg, Words: policyd.NewWords(cfg.AlwaysHide, cfg.ExplicitOffer),
		Policy: &lists.Policy{Default: cfg.Default, Mode: cfg.Mode}}
	e.ask(live, old)
	for _, l := range cfg.Lists {
		s, err := e.source(l, live, old)
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", l.Name, err)
		}
		list := &lists.List{Name: l.Name, Action: l.Action, Mode: l.Mode, Source: s.File, Foreign: l.Foreign()}
		if s.DNS != nil {
			list.Source = s.DNS
		}
		live.Sources = append(live.Sources, s)
		live.Policy.Lists = append(live.Policy.Lists, list)
	}
	return live, nil
}

// source makes the source of a list, or finds it in old.
func (e *Engine) source(l config.List, live, old *Live) (Source, error) {
	if l.ByDNS() {
		return Source{DNS: live.dns.Source(l.Zones)}, nil
	}
	s := old.file(l)
	isNew := s == nil
	if isNew {
		s = file.New(l.Spec, e.clock)
	}
	if isNew && old != nil {
		return Source{File: s}, load(s)
	}
	e.loadList(l, s)
	return Source{File: s}, nil
}

// file finds the source of a list that has not changed.
func (l *Live) file(want config.List) *file.Source {
	if l != nil {
		for have, s := range l.Files() {
			if have.Name == want.Name && reflect.DeepEqual(have.Spec, want.Spec) {
				return s
			}
		}
	}
	return nil
}

// loadList loads a list and tells the log.
func (e *Engine) loadList(l config.List, s *file.Source) {
	log := e.log.WithField("list", l.Name)
	start := time.Now()
	err := load(s)
	state := s.State()
	if err == nil {
		log.WithFields(logrus.Fields{"action": l.Action.String(), "entries": state.Entries, "files": len(state.Files),
			"took": time.Since(start).Round(time.Microsecond).String()}).Info("list loaded")
		if len(state.Files) == 0 {
			log.Warn("the list is empty: no file matches files = [...]")
		}
		return
	}
	what := "list not loaded, the last good one stays"
	if state.Loaded.IsZero() {
		what = "list not loaded, and it never was: " + withoutList(l)
	}
	e.logProblems(log, err, what)
}

// logAge tells that a list has become too old, or no longer is.
func (e *Engine) logAge(l config.List, s *file.Source) {
	log := e.log.WithField("list", l.Name)
	if s.State().Stale {
		log.WithField("stale_after", l.Spec.StaleAfter.String()).Error("the files of the list are too old, so that it counts as not loaded: " + withoutList(l))
		return
	}
	log.Info("the files of the list are new again")
}

// withoutList says what follows from a list that is unloaded.
func withoutList(l config.List) string {
	if l.Action == lists.Suppress || l.Mode == lists.Observe {
		return "it is skipped"
	}
	return "every client that no list before it holds is offered STARTTLS"
}

// logProblems logs each of the problems in err on a line of its own.
func (e *Engine) logProblems(log *logrus.Entry, err error, what string) {
	var ps *file.Problems
	if !errors.As(err, &ps) {
		log.WithError(err).Error(what)
		return
	}
	for _, p := range ps.First {
		log.Error(p.Error())
	}
	log.WithField("problems", ps.Total).Error(what)
}
