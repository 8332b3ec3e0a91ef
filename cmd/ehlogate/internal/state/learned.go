package state

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/lists"
	"ehlogate/lists/fallback"
	"ehlogate/lists/listfile"
	"ehlogate/lists/maillog"
	"ehlogate/lists/tlsrpt"
)

// NeverName is how the list of [learn] never is called in logs and in /healthz.
const NeverName = "[learn] never"

// neverConfig describes that list; ok is false if there is none.
func neverConfig(c *config.Config) (l config.List, ok bool) {
	if !c.Learns() || len(c.Learn.Never.Patterns) == 0 {
		return l, false
	}
	return config.List{Name: NeverName, Action: lists.NoAction, Spec: c.Learn.Never}, true
}

// learning is what the Manager has for lists that learn.
type learning struct {
	service atomic.Pointer[learn.Service] // of the present snapshot; nil: no list learns
	never   neverSource
	logged  learnedMode // as the last log line says
}

// learnedMode is whether fallback lists count.
type learnedMode int

const (
	modeUnknown learnedMode = iota // the store was not read yet
	modeObserves
	modeEnforces
)

// neverSource matches the clients of which nothing is learned: those of a list file in its present state. It is unavailable
// until it can be read for the first time: then nothing is learned, and what was learned is kept.
type neverSource struct{ list atomic.Pointer[listfile.List] }

// Lookup implements [lists.Source].
func (n *neverSource) Lookup(c lists.Client) lists.Match {
	l := n.list.Load()
	if l == nil {
		return lists.Match{}
	}
	return l.Lookup(c)
}

// follow has the lists that learn go by a new snapshot.
func (l *learning) follow(s *Snapshot) {
	l.service.Store(s.Learn)
	l.never.list.Store(s.Never)
}

// attachLearning gives s the service for lists that learn, if its config has such lists.
func (m *Manager) attachLearning(s, old *Snapshot) {
	c := s.Config
	if !c.Learns() {
		return
	}
	options := learn.Options{State: c.Learn.State, ObserveFor: c.Learn.ObserveFor, Watch: c.Learn.Watch}
	if c.Learn.Fallback.Legacy || c.Learn.Fallback.Suppress {
		options.Fallback = &c.Learn.Fallback
	}
	if c.FindLearned(config.LearnEarned, lists.NoAction) != "" {
		options.Earned = &c.Learn.Earned
	}
	if s.Learn = old.Learn; s.Learn == nil || !s.Learn.HasOptions(options) {
		s.Learn = learn.New(options, learn.Environment{Clock: m.clock, IsFollowed: m.isFollowed, Never: &m.learning.never, Standing: m.findStanding, Enforced: m.isEnforced,
			Await: m.awaitStandings, Notify: func(e learn.Event) { logLearnEvent(logrus.NewEntry(m.log), e) }}, old.Learn)
	}
	s.enforces = s.Learn.Enforces()
}

// learnFrom passes a session of a log to the lists that learn.
func (m *Manager) learnFrom(session *maillog.Session) {
	if s := m.learning.service.Load(); s != nil {
		s.Add(session)
	}
}

// withdrawLearned ends the learned entry of a client that relies on STARTTLS, as its own mail server reports, and has the
// client never learned again.
func (m *Manager) withdrawLearned(f tlsrpt.Finding) {
	if s := m.learning.service.Load(); s != nil {
		s.Withdraw(f.Address, fmt.Sprintf("a TLS report of %s says that this client relies on STARTTLS and did not see it", f.Organization))
	}
}

// noteLogsEvent logs an event of [logs], and keeps lists from learning when lines were lost, which may have had successes, or
// when the TLS of the mail server itself does not work.
func (m *Manager) noteLogsEvent(e logs.Event) {
	logLogsEvent(m.log, e)
	s := m.learning.service.Load()
	if s == nil {
		return
	}
	switch e.Kind {
	case logs.LinesLost, logs.LinesDropped, logs.Panicked:
		s.OpenBreaker("lines of " + e.Source + " were not read")
	case logs.ServerTrouble:
		s.OpenBreaker("this server is at fault, as " + e.Source + " says")
	}
}

// isFollowed reports whether all logs can be read.
func (m *Manager) isFollowed() bool {
	s := m.Snapshot()
	if s.Logs == nil {
		return false
	}
	for _, st := range s.Logs.Status() {
		if st.IsDegraded() {
			return false
		}
	}
	return true
}

// isEnforced reports whether the fallback list for an action takes effect.
func (m *Manager) isEnforced(action lists.Action) bool {
	s := m.Snapshot()
	for i, l := range s.Config.Lists {
		if l.Learn == config.LearnFallback && l.Action == action {
			return s.IsEnforced(i)
		}
	}
	return false
}

// IsEnforced reports whether the list at index i takes effect; if not, it observes.
func (s *Snapshot) IsEnforced(i int) bool {
	return s.Policy.Mode == lists.Enforce && s.Policy.Lists[i].Mode == lists.Enforce
}

// findStanding returns what the lists that do not learn say of a client.
func (m *Manager) findStanding(c lists.Client) fallback.Standing {
	return FindStanding(m.Snapshot().StandingLists(), c)
}

// FindStanding returns what lists say of a client.
func FindStanding(all iter.Seq[*lists.List], c lists.Client) fallback.Standing {
	out := fallback.StandingNone
	for l := range all {
		switch l.Source.Lookup(c).Status {
		case lists.Matched:
			if l.Action == lists.Suppress {
				return fallback.StandingDenied
			}
			if out == fallback.StandingNone {
				out = fallback.StandingTrusted
			}
		case lists.Pending, lists.Unavailable:
			out = fallback.StandingUnknown
		}
	}
	return out
}

// StandingLists iterates over the lists that do not learn, if a match says something good or bad of a client.
func (s *Snapshot) StandingLists() iter.Seq[*lists.List] {
	return func(yield func(*lists.List) bool) {
		for i, l := range s.Policy.Lists {
			says := l.Action == lists.Suppress || l.Action == lists.Offer || l.Action == lists.Require
			if says && !s.Config.Lists[i].IsLearned() && l.Services.Has(lists.SMTP) && !yield(l) {
				return
			}
		}
	}
}

// awaitStandings waits until DNS lists know clients, or ctx ends.
func (m *Manager) awaitStandings(ctx context.Context, clients []lists.Client) {
	var ready []<-chan struct{}
	for l := range m.Snapshot().StandingLists() {
		for _, c := range clients {
			ready = append(ready, l.Source.Lookup(c).Ready...)
		}
	}
	for _, r := range ready {
		select {
		case <-r:
		case <-ctx.Done():
			return
		}
	}
}

// learnedSource returns the source of a list that learns.
func (s *Snapshot) learnedSource(l config.List) lists.Source {
	if l.Learn == config.LearnEarned {
		return s.Learn.Earned()
	}
	return s.Learn.Fallback(l.Action)
}

// effectiveMode returns the mode of a list: a fallback list observes until logs have been followed for long enough.
func (s *Snapshot) effectiveMode(l config.List) lists.Mode {
	if l.Learn == config.LearnFallback && !s.enforces {
		return lists.Observe
	}
	return l.Mode
}

// ObservesAtFirst reports whether list i only observes since logs have not been followed for long enough.
func (s *Snapshot) ObservesAtFirst(i int) bool {
	return s.Policy.Lists[i].Mode != s.Config.Lists[i].Mode
}

// updateLearnedMode has fallback lists count once logs have been followed for long enough.
func (m *Manager) updateLearnedMode() {
	s := m.Snapshot()
	if s.Learn == nil {
		return
	}
	if s.enforces != s.Learn.Enforces() {
		next := s.withFiles(m.lists)
		m.publish(next)
		s = next
	}
	mode := modeUnknown
	if followed, known := s.Learn.Followed(); known {
		if mode = modeObserves; s.enforces {
			mode = modeEnforces
		}
		if mode != m.learning.logged {
			m.logLearnedMode(s, followed)
		}
	}
	m.learning.logged = mode
}

func (m *Manager) logLearnedMode(s *Snapshot, followed time.Duration) {
	for _, l := range s.Config.Lists {
		if l.Learn != config.LearnFallback || l.Mode != lists.Enforce {
			continue
		}
		log := m.log.WithField("list", l.Name)
		if s.enforces {
			log.Info("learned list takes effect: logs have been followed for long enough")
			continue
		}
		log.Warnf(`learned list only observes, although its mode is "enforce": logs have been followed for %v, and it takes %v ([fallback] observe_for)`,
			followed.Round(time.Second), s.Config.Learn.ObserveFor)
	}
}

func logLearnEvent(log *logrus.Entry, e learn.Event) {
	if e.Err != nil {
		log = log.WithError(e.Err)
	}
	switch {
	case e.Fallback != nil:
		logFallbackEvent(log, e.Fallback)
	case e.Earned != nil:
		log.WithFields(logrus.Fields{"client": e.Earned.Client.String(), "name": e.Earned.Name, "reason": e.Earned.Reason}).Debug("earned list: client " + string(e.Earned.Kind))
	case e.Kind == learn.StoreFailed && e.Stack != nil:
		log.WithField("stack", string(e.Stack)).Error("internal error (panic) while learning; the sessions of that second were not learned from; please report the stack trace")
	case e.Kind == learn.StoreFailed:
		log.Warnf("cannot use %s; lists that learn answer by what they know and learn nothing until it works: make its directory writable for this user, make space on its disk, or set another file in [learn] state", e.Path)
	case e.Kind == learn.StoreWorks:
		log.Infof("%s works again; lists learn", e.Path)
	case e.Kind == learn.StoreAside:
		log.Errorf("cannot use the content of %s; lists that learn begin anew, and the old file is %s", e.Path, e.Aside)
	case e.Kind == learn.SessionsDropped:
		log.Warn("more sessions than lists can learn from; some were left out, and fallback lists learn nothing for a while")
	}
}

func logFallbackEvent(log *logrus.Entry, e *fallback.Event) {
	f := logrus.Fields{}
	if e.Client.IsValid() {
		f["client"], f["action"] = e.Client.String(), e.Action.String()
		f["class"] = e.Class.String()
	}
	if e.Name != "" {
		f["name"] = e.Name
	}
	if e.Reason != "" {
		f["reason"] = e.Reason
	}
	if !e.Until.IsZero() {
		f["until"] = e.Until.UTC().Format(time.RFC3339)
	}
	level := logrus.InfoLevel
	if e.Warning {
		level = logrus.WarnLevel
	}
	log.WithFields(f).Logf(level, "fallback list: %s", e.Kind)
}

// emptyLearned makes lists that learn empty, for a command.
func (s *Snapshot) emptyLearned() {
	if s.Learn != nil {
		s.Learn.Clear()
	}
}
