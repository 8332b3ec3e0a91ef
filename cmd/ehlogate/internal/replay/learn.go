package replay

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// learning has the lists of a policy that learn, and has them learn from the sessions of a log as they would have at that
// time. It keeps nothing.
type learning struct {
	store     *learnstore.Memory
	fallback  *fallback.Learner // nil: there is no such list
	earned    *earned.Learner   // nil: there is no such list
	published *fallback.Table
	sources   []*fallback.List
	lists     map[*lists.List]bool // those that learn; true: the list of those that earned the offer
	tally     learnedTally
	first     time.Time
	now       learnstore.Moment
	ticked    time.Time // both, and fallback lists
	swept     time.Time // earned lists
	err       error     // the first
}

// Time passes for the lists in these steps of the log's time. In the daemon each is a second. To look for earned clients
// that do not deliver any more is slow in memory, and takes a day in all by these steps.
const (
	tickTime  = time.Second
	sweepTime = 5 * time.Minute
)

// newLearning makes the lists of policy that learn, in place of those of the snapshot, by the config.
func newLearning(cfg *config.Config, snapshot *state.Snapshot, policy *lists.Policy, isOffline func(*lists.List) bool) *learning {
	l := &learning{store: learnstore.NewMemory(), lists: map[*lists.List]bool{}, tally: newLearnedTally()}
	never := func(c lists.Client) bool {
		if snapshot.Never == nil {
			return false
		}
		s := snapshot.Never.Lookup(c).Status
		return s != lists.NoMatch && s != lists.Exception
	}
	others := slices.DeleteFunc(slices.Collect(snapshot.StandingLists()), isOffline)
	standing := func(c lists.Client) fallback.Standing {
		for _, list := range others {
			awaitAll(list.Source.Lookup(c).Ready)
		}
		return state.FindStanding(slices.Values(others), c)
	}
	modes := map[lists.Action]lists.Mode{}
	for i, c := range cfg.Lists {
		if !c.IsLearned() {
			continue
		}
		list := *policy.Lists[i]
		list.Mode = c.Mode // as if logs had been followed for long enough
		policy.Lists[i] = &list
		if l.lists[&list] = c.Learn == config.LearnEarned; l.lists[&list] {
			list.Source = earnedSource{l}
			continue
		}
		modes[c.Action] = c.Mode
		source := fallback.NewList(c.Action, nil, func() time.Time { return l.now.Wall })
		l.sources = append(l.sources, source)
		list.Source, list.Sessions = source, source
	}
	if len(l.sources) > 0 {
		l.fallback = fallback.New(cfg.Learn.Fallback, fallback.Environment{Standing: standing, Never: never,
			Enforced: func(a lists.Action) bool { return cfg.Mode == lists.Enforce && modes[a] == lists.Enforce }}, l.tally.noteFallback)
	}
	if cfg.FindLearned(config.LearnEarned, lists.NoAction) != "" {
		denied := func(c lists.Client) bool { return standing(c) == fallback.StandingDenied }
		l.earned = earned.New(cfg.Learn.Earned, earned.Environment{Never: never, Denied: denied}, l.tally.noteEarned)
	}
	return l
}

// awaitAll waits for DNS, for as long as a query may take.
func awaitAll(ready []<-chan struct{}) {
	for _, r := range ready {
		ctx, cancel := context.WithTimeout(context.Background(), dnsTimeout)
		select {
		case <-r:
		case <-ctx.Done():
		}
		cancel()
	}
}

// earnedSource is the source of the list of those that earned the offer.
type earnedSource struct{ *learning }

// Lookup implements [lists.Source].
func (s earnedSource) Lookup(c lists.Client) lists.Match {
	if s.earned.Has(c.Addr) {
		return lists.Match{Status: lists.Matched}
	}
	return lists.Match{}
}

// passTime lets time pass up to a time in the log.
func (l *learning) passTime(at time.Time) {
	if at.IsZero() {
		return
	}
	if l.first.IsZero() {
		l.first, l.now.Wall, l.swept = at, at, at
	}
	if at.After(l.now.Wall) {
		l.now.Wall = at
		l.now.Followed = at.Sub(l.first)
	}
	l.tally.at = l.now.Wall
	if l.fallback != nil && l.now.Wall.Sub(l.ticked) >= tickTime {
		l.ticked = l.now.Wall
		l.note(l.fallback.Tick(l.store, l.now))
		l.publish(l.fallback.Table().AsOf(l.now))
	}
	if l.earned != nil {
		n := min(l.now.Wall.Sub(l.swept)/sweepTime, earned.TicksOfRound)
		for range n {
			l.note(l.earned.Tick(l.store, l.now))
		}
		if n > 0 {
			l.swept = l.now.Wall
		}
	}
}

func (l *learning) publish(t *fallback.Table) {
	if t == l.published {
		return
	}
	l.published = t
	for _, s := range l.sources {
		s.Publish(t)
	}
}

// learn learns from a session, after the decision about it.
func (l *learning) learn(s *maillog.Session) {
	if s.End.IsZero() {
		return
	}
	l.passTime(s.End)
	if l.fallback != nil {
		withoutLine := *s
		withoutLine.Line = "" // no report shows it, and it would be most of the memory
		l.note(l.fallback.Add(l.store, l.now, &withoutLine))
		l.publish(l.fallback.Table().AsOf(l.now))
	}
	if l.earned != nil {
		l.note(l.earned.Add(l.store, l.now, s))
	}
}

func (l *learning) note(err error) {
	if err != nil {
		l.err = errors.Join(l.err, err)
	}
}

// matched returns the lists that learn and match a client, whether they take effect or observe.
func (l *learning) matched(d *lists.Decision) iter.Seq[bool] {
	return func(yield func(earned bool) bool) {
		v, observing := d.WithoutObserve()
		for _, v := range append(observing[:len(observing):len(observing)], v) {
			if isEarned, ok := l.lists[v.List]; ok && !yield(isEarned) {
				return
			}
		}
	}
}
