package earned

import (
	"net/netip"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// Learner has the rules. It is not safe for concurrent use; its tables and lists are.
//
// A call that returns an error, or whose transaction is not committed, has changed what the Learner remembers: call Reload
// then.
type Learner struct {
	options     Options
	environment Environment
	notify      func(Event)
	table       *Table
}

// New returns a Learner, which reads the store with its first call. notify, which may be nil, is called within the other
// methods, before the transaction is committed.
func New(o Options, e Environment, notify func(Event)) *Learner {
	return &Learner{options: o, environment: e, notify: notify, table: &Table{}}
}

// Reload makes the next call read the store again.
func (l *Learner) Reload() {}

// Add learns from a session. It keeps nothing of s.
func (l *Learner) Add(tx learnstore.Tx, now learnstore.Moment, s *maillog.Session) error { return nil }

// Tick lets time pass. It is to be called every second while logs are followed.
func (l *Learner) Tick(tx learnstore.Tx, now learnstore.Moment) error { return nil }

// Forget deletes all that is known of a client.
func (l *Learner) Forget(tx learnstore.Tx, now learnstore.Moment, client netip.Addr) error { return nil }

// Table returns the table as it is after the last call.
func (l *Learner) Table() *Table { return l.table }

// Report describes what was learned, with at most top clients.
func (l *Learner) Report(tx learnstore.Tx, now learnstore.Moment, top int) (Report, error) {
	return Report{}, nil
}

// Client describes what is known of one client.
func (l *Learner) Client(tx learnstore.Tx, now learnstore.Moment, client netip.Addr) (ClientReport, error) {
	return ClientReport{}, nil
}
