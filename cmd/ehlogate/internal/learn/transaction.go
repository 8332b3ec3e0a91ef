package learn

import (
	"context"
	"net/netip"

	"ehlogate/lists"
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/learnstore"
)

// fillBatch takes sessions from the queue.
func (w *worker) fillBatch() {
	for len(w.batch) < maxBatch {
		select {
		case session := <-w.queue:
			w.batch = append(w.batch, session)
		default:
			return
		}
	}
}

// awaitStandings waits for what other lists say of the clients that failed at TLS.
func (w *worker) awaitStandings(ctx context.Context) {
	if w.fallback == nil || w.environment.Await == nil {
		return
	}
	var clients []lists.Client
	for i := range w.batch {
		if s := &w.batch[i]; s.IsFailure() {
			clients = append(clients, lists.Client{Addr: s.Addr, Name: s.Name})
		}
	}
	if len(clients) > 0 {
		ctx, cancel := context.WithTimeout(ctx, awaitTime)
		defer cancel()
		w.environment.Await(ctx, clients)
	}
}

// learnIn is the transaction. It returns the state of the service after it.
func (w *worker) learnIn(tx learnstore.Tx, stamps map[string]string, reasons []string, withdrawn map[netip.Addr]string) (serviceState, error) {
	if err := w.awaitNever(); err != nil {
		return serviceState{}, err
	}
	next, changed, err := w.state.load(tx, w.time.moment().Wall, stamps)
	if err != nil {
		return next, err
	}
	if w.opened {
		w.opened = false
		if w.time.load(next.followed) {
			w.lists.publish(&fallback.Table{}, nil) // the lives of its entries are of the time that is lost
		}
	}
	now := w.time.moment()
	if f := w.fallback; f != nil {
		for _, reason := range append(changed, reasons...) {
			if err := f.OpenBreaker(tx, now, reason); err != nil {
				return next, err
			}
		}
	}
	for i := range w.batch {
		if f := w.fallback; f != nil {
			if err := f.Add(tx, now, &w.batch[i]); err != nil {
				return next, err
			}
		}
		if e := w.earned; e != nil {
			if err := e.Add(tx, now, &w.batch[i]); err != nil {
				return next, err
			}
		}
	}
	if f := w.fallback; f != nil {
		for addr, reason := range withdrawn {
			if err := f.Withdraw(tx, now, addr, reason); err != nil {
				return next, err
			}
		}
		if err := f.Tick(tx, now); err != nil {
			return next, err
		}
	}
	if e := w.earned; e != nil {
		if err := e.Tick(tx, now); err != nil {
			return next, err
		}
	}
	return next, next.save(tx, now, w.ending)
}

// noteBreaker finds out whether the breaker was left open.
func (w *worker) noteBreaker() error {
	return w.store.View(func(tx learnstore.Tx) error {
		report, err := w.fallback.Report(tx, w.time.moment())
		w.status.noteBreaker(report.Breaker)
		return err
	})
}

func (w *worker) publishTables() {
	var table *fallback.Table
	if w.fallback != nil {
		table = w.fallback.Table().AsOf(w.time.moment())
	}
	earnedTable := &earned.Table{}
	if w.earned != nil {
		earnedTable = w.earned.Table()
	}
	w.lists.publish(table, earnedTable)
}
