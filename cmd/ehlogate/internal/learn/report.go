package learn

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/learnstore"
)

const (
	// queryTime is how long a report may take.
	queryTime = 2 * time.Second
	// topClients is how many clients the report of an earned list has.
	topClients = 100
)

// Report is what was learned, in /api/v1/learned.
type Report struct {
	Status   Status           `json:"status"`
	Fallback *fallback.Report `json:"fallback"` // null: there is no such list
	Earned   *earned.Report   `json:"earned"`   // null: there is no such list
}

// ClientReport is what was learned of a client, in /api/v1/learned/ADDR and /api/v1/decision.
type ClientReport struct {
	Addr     string                 `json:"addr"`
	Fallback *fallback.ClientReport `json:"fallback"` // null: there is no such list
	Earned   *earned.ClientReport   `json:"earned"`   // null: there is no such list
	// Observes reports that fallback lists observe until logs have been followed for longer.
	Observes bool `json:"observes,omitempty"`
}

// errBusy means that a report did not come in time.
var errBusy = errors.New("timeout: the file that keeps what was learned is in use, or its file system does not respond")

// ask has the worker answer in a transaction.
func (s *Service) ask(ctx context.Context, f func(learnstore.Tx, learnstore.Moment, *worker) error) error {
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	q := query{f, make(chan error, 1)}
	select {
	case s.queries <- q:
	case <-ctx.Done():
		return errBusy
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return errBusy
	}
}

// Report returns what was learned.
func (s *Service) Report(ctx context.Context) (Report, error) {
	got := make(chan Report, 1)
	err := s.ask(ctx, func(tx learnstore.Tx, now learnstore.Moment, w *worker) error {
		var r Report
		var err error
		r.Fallback, r.Earned, err = reportBoth(w, func(l *fallback.Learner) (fallback.Report, error) { return l.Report(tx, now) },
			func(l *earned.Learner) (earned.Report, error) { return l.Report(tx, now, topClients) })
		got <- r
		return err
	})
	if err != nil {
		return Report{Status: s.Status()}, err
	}
	r := <-got
	r.Status = s.Status()
	return r, nil
}

// Client returns what was learned of a client.
func (s *Service) Client(ctx context.Context, addr netip.Addr) (ClientReport, error) {
	got := make(chan ClientReport, 1)
	err := s.ask(ctx, func(tx learnstore.Tx, now learnstore.Moment, w *worker) error {
		r := ClientReport{Addr: addr.String(), Observes: !s.Enforces()}
		var err error
		r.Fallback, r.Earned, err = reportBoth(w, func(l *fallback.Learner) (fallback.ClientReport, error) { return l.Client(tx, now, addr) },
			func(l *earned.Learner) (earned.ClientReport, error) { return l.Client(tx, now, addr) })
		got <- r
		return err
	})
	if err != nil {
		return ClientReport{Addr: addr.String()}, err
	}
	return <-got, nil
}

// reportBoth returns the reports of both kinds of lists; nil for one that there is not.
func reportBoth[F, E any](w *worker, ofFallback func(*fallback.Learner) (F, error), ofEarned func(*earned.Learner) (E, error)) (f *F, e *E, err error) {
	if w.fallback != nil {
		report, err := ofFallback(w.fallback)
		if err != nil {
			return nil, nil, err
		}
		f = &report
	}
	if w.earned != nil {
		report, err := ofEarned(w.earned)
		if err != nil {
			return nil, nil, err
		}
		e = &report
	}
	return f, e, nil
}
