package learn

import (
	"context"
	"errors"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

const (
	// The time between two tries to open the file, or to write it: it doubles while it fails.
	minRetry = time.Second
	maxRetry = 30 * time.Second
	// awaitTime is how long other lists may take to know what they say of the clients in a batch.
	awaitTime = 2 * time.Second
)

// worker owns the store and the rules. It may hang with the file system.
type worker struct {
	*Service
	store    *learnstore.Store
	fallback *fallback.Learner // nil: there is no such list
	earned   *earned.Learner   // nil: there is no such list
	state    serviceState
	opened   bool // the store was, and the time in it was not looked at yet

	batch  []maillog.Session
	events []Event // of the present transaction
	ending bool    // this is the last transaction
}

// query is a question that a transaction answers.
type query struct {
	ask  func(learnstore.Tx, learnstore.Moment, *worker) error
	done chan error
}

func newWorker(s *Service) *worker {
	w := &worker{Service: s}
	if o := s.options.Fallback; o != nil {
		w.fallback = fallback.New(*o, fallback.Environment{Standing: s.environment.Standing, Never: w.isNever, Enforced: s.environment.Enforced},
			func(e fallback.Event) { w.events = append(w.events, newFallbackEvent(e)) })
	}
	if o := s.options.Earned; o != nil {
		w.earned = earned.New(*o, earned.Environment{Never: w.isNever, Denied: func(c lists.Client) bool {
			return s.environment.Standing != nil && s.environment.Standing(c) == fallback.StandingDenied
		}}, func(e earned.Event) { w.events = append(w.events, newEarnedEvent(e)) })
	}
	return w
}

// errAwaitsNever means that it is not known yet of which clients nothing may be learned. What was learned must wait for that: it
// would end for all clients.
var errAwaitsNever = errors.New("the list of clients of which nothing is learned is unavailable")

func (s *Service) awaitNever() error {
	if s.environment.Never != nil && s.environment.Never.Lookup(lists.Client{}).Status == lists.Unavailable {
		return errAwaitsNever
	}
	return nil
}

func (s *Service) isNever(c lists.Client) bool {
	if s.environment.Never == nil {
		return false
	}
	status := s.environment.Never.Lookup(c).Status
	return status != lists.NoMatch && status != lists.Exception
}

// run learns until ctx ends.
func (w *worker) run(ctx context.Context) {
	defer w.close()
	next, retry := time.NewTimer(0), minRetry
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			w.ending = true
			w.runStep(context.WithoutCancel(ctx))
			return
		case q := <-w.queries:
			q.done <- w.answer(q)
		case <-next.C:
			if w.runStep(ctx) {
				retry = minRetry
				next.Reset(stepTime)
				continue
			}
			next.Reset(retry)
			retry = min(2*retry, maxRetry)
		}
	}
}

// runStep opens the store if it is not open, and makes one transaction. It reports whether that worked.
func (w *worker) runStep(ctx context.Context) bool {
	w.status.begin(w.environment.Clock())
	err := w.openStore()
	if err == nil {
		err = w.learn(ctx)
	}
	if errors.Is(err, errAwaitsNever) {
		err = nil // which /healthz says of that list
	}
	w.report(err)
	return err == nil
}

// openStore opens the store, unless it is open.
func (w *worker) openStore() error {
	if w.store != nil {
		return nil
	}
	store, err := learnstore.Open(w.options.State, w.environment.Clock)
	if err != nil {
		if !w.lists.isEarnedKnown() {
			w.Clear() // else it would be unavailable for as long
		}
		return err
	}
	w.store, w.state, w.opened = store, serviceState{}, true
	if st := store.Status(); st.Aside != "" {
		w.status.noteAside(st, w.environment.Clock())
		w.environment.Notify(Event{Kind: StoreAside, Path: st.Path, Aside: st.Aside, Err: st.Reason})
	}
	w.reload()
	return nil
}

func (w *worker) reload() {
	if w.fallback != nil {
		w.fallback.Reload()
	}
	if w.earned != nil {
		w.earned.Reload()
	}
}

// learn makes one transaction of the sessions that wait.
func (w *worker) learn(ctx context.Context) error {
	w.fillBatch()
	w.awaitStandings(ctx)
	stamps := w.currentStamps()
	reasons, withdrawn := w.takeReasons(), w.takeWithdrawn()
	var next serviceState
	err := w.store.Update(func(tx learnstore.Tx) (err error) {
		w.events = nil
		next, err = w.learnIn(tx, stamps, reasons, withdrawn)
		return err
	})
	if err != nil {
		w.reload()
		for _, reason := range reasons {
			w.OpenBreaker(reason)
		}
		for addr, reason := range withdrawn {
			w.Withdraw(addr, reason)
		}
		if errors.Is(err, learnstore.ErrBroken) {
			// The sessions may be why, so they are not tried again.
			w.dropped.Add(uint64(len(w.batch)))
			w.batch = nil
			w.OpenBreaker("the store was broken")
			w.close()
		}
		return err
	}
	isFirst := !w.state.loaded
	w.state, w.batch = next, w.batch[:0]
	if isFirst && w.fallback != nil {
		if err := w.noteBreaker(); err != nil {
			return err
		}
	}
	if size, err := w.store.Size(); err == nil {
		w.status.noteSize(size)
	}
	w.publishTables()
	for _, e := range w.events {
		w.status.noteEvent(e, w.environment.Clock())
		w.environment.Notify(e)
	}
	return nil
}

// answer answers a query.
func (w *worker) answer(q query) error {
	if w.store == nil {
		return errors.New("the file that keeps what was learned is not open: /healthz says why")
	}
	w.status.begin(w.environment.Clock())
	defer w.status.end()
	err := w.store.View(func(tx learnstore.Tx) error { return q.ask(tx, w.time.moment(), w) })
	if errors.Is(err, learnstore.ErrBroken) {
		w.close()
	}
	return err
}

// report keeps what came of a step, and tells the operator if that changed.
func (w *worker) report(err error) {
	switch w.status.noteResult(err, w.environment.Clock()) {
	case began:
		w.environment.Notify(Event{Kind: StoreFailed, Path: w.options.State, Err: err, Stack: learnstore.StackOf(err)})
	case ended:
		w.environment.Notify(Event{Kind: StoreWorks, Path: w.options.State})
	}
}

func (w *worker) close() {
	if w.store != nil {
		_ = w.store.Close() // all that was acknowledged is on the disk
		w.store = nil
	}
}
