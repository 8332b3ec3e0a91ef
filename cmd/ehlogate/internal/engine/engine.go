// Package engine keeps the policy alive: it loads config and lists, follows
// their changes, and lets questions be answered meanwhile from what was last
// found good.
package engine

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists"
	"ehlogate/lists/file"
	"ehlogate/policyd"
)

// Live is one state of config and policy. It is immutable but for the tables
// of its sources.
type Live struct {
	Config  *config.Config
	Policy  *lists.Policy
	Words   *policyd.Words
	Sources []*file.Source // by list, in the order of the config
}

// Engine answers from the present Live, and replaces it.
type Engine struct {
	load  func() (*config.Config, error)
	clock func() time.Time
	log   *logrus.Logger
	live  atomic.Pointer[Live]

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

// Decide answers from the present policy.
func (e *Engine) Decide(ctx context.Context, c lists.Client) lists.Decision {
	return e.live.Load().Policy.Decide(ctx, c)
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

// Run follows the files of the lists until ctx ends, and reads config and
// lists again for each function on reload, which it then calls. Nothing else
// replaces the policy, so there is one order in which things change.
func (e *Engine) Run(ctx context.Context, reload <-chan func()) {
	w := file.NewWatcher(e.log)
	defer w.Close()
	report, stopped := make(chan map[string]bool), make(chan struct{})
	w.Follow(e.Live().Sources)
	go func() { defer close(stopped); w.Run(ctx, report) }()
	defer func() { <-stopped }()
	for {
		select {
		case <-ctx.Done():
			return
		case done := <-reload:
			if err := e.Reload(); err != nil {
				e.logProblems(e.log.WithField("config", e.Live().Config.File), err, "reload refused, the old config stays")
			}
			done()
		case touched := <-report:
			live := e.Live()
			for i, s := range live.Sources {
				if s.Stale(touched) {
					e.loadList(live.Config.Lists[i], s)
				}
			}
		}
		w.Follow(e.Live().Sources)
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
			e.log.SetLevel(cfg.Log.Level)
			if !reflect.DeepEqual(cfg.Listen, e.started.Listen) || cfg.Log.JSON != e.started.Log.JSON {
				e.log.Warn("[listen] or the log format differ from what is in use: they need a restart to take effect")
			}
			e.log.WithFields(logrus.Fields{"config": cfg.File, "lists": len(cfg.Lists)}).Info("config reloaded")
			return nil
		}
	}
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
	for _, l := range cfg.Lists {
		s := old.source(l)
		isNew := s == nil
		if isNew {
			s = file.New(l.Spec, e.clock)
		}
		if isNew && old != nil {
			if err := load(s); err != nil {
				return nil, fmt.Errorf("list %q: %w", l.Name, err)
			}
		} else {
			e.loadList(l, s)
		}
		live.Sources = append(live.Sources, s)
		live.Policy.Lists = append(live.Policy.Lists, &lists.List{Name: l.Name, Action: l.Action, Mode: l.Mode, Source: s})
	}
	return live, nil
}

func (l *Live) source(want config.List) *file.Source {
	if l != nil {
		for i, have := range l.Config.Lists {
			if have.Name == want.Name && reflect.DeepEqual(have.Spec, want.Spec) {
				return l.Sources[i]
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
	if s.Table() == nil {
		what = "list not loaded, and it never was: " + withoutList(l)
	}
	e.logProblems(log, err, what)
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
