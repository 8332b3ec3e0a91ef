package earned

import (
	"net/netip"
	"testing"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

const day = 24 * time.Hour

// world is a Learner with its store, and the time.
type world struct {
	*testing.T
	learner *Learner
	store   learnstore.Tx
	now     learnstore.Moment
	events  []Event
}

func newWorld(t *testing.T, o Options, e Environment) *world {
	w := &world{T: t, store: learnstore.NewMemory(), now: learnstore.Moment{Wall: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)}}
	w.learner = New(o, e, func(e Event) { w.events = append(w.events, e) })
	return w
}

// sleep lets time pass, by both clocks.
func (w *world) sleep(d time.Duration) {
	w.now.Wall, w.now.Followed = w.now.Wall.Add(d), w.now.Followed+d
}

// newSession returns a session that ended now.
func (w *world) newSession(addr string, mail maillog.Mail) *maillog.Session {
	return &maillog.Session{Time: w.now.Wall.Add(-time.Second), End: w.now.Wall, Service: maillog.ServiceSMTP, Addr: netip.MustParseAddr(addr),
		Name: "mail.example.org", TLS: maillog.TLSOK, Mail: mail}
}

func (w *world) add(s *maillog.Session) {
	w.Helper()
	if err := w.learner.Add(w.store, w.now, s); err != nil {
		w.Fatal(err)
	}
}

// deliver makes a client deliver n times, a minute apart.
func (w *world) deliver(addr string, n int) { w.repeat(addr, n, maillog.MailAccepted) }

func (w *world) reject(addr string, n int) { w.repeat(addr, n, maillog.MailRejected) }

func (w *world) repeat(addr string, n int, mail maillog.Mail) {
	w.Helper()
	for range n {
		w.sleep(time.Minute)
		w.add(w.newSession(addr, mail))
	}
}

// nextDay lets time pass until nine on the next of n days.
func (w *world) nextDay(n int) {
	w.sleep(w.now.Wall.Truncate(day).Add(time.Duration(n)*day + 9*time.Hour).Sub(w.now.Wall))
}

// earn makes a client meet the rules, and not more.
func (w *world) earn(addr string) {
	w.Helper()
	for range 5 {
		w.nextDay(1)
		w.deliver(addr, 2)
	}
	w.want(addr, true)
}

// want fails the test unless a client is earned, or is not.
func (w *world) want(addr string, earned bool) {
	w.Helper()
	got := w.learner.Table().Has(netip.MustParseAddr(addr))
	if got != w.learner.Has(netip.MustParseAddr(addr)) {
		w.Fatalf("%s: the learner and its table differ", addr)
	}
	if got != earned {
		w.Fatalf("%s, %v followed: %s is earned: %v, want %v; %+v", w.now.Wall, w.now.Followed, addr, got, earned, w.client(addr))
	}
}

func (w *world) client(addr string) ClientReport {
	w.Helper()
	r, err := w.learner.Client(w.store, w.now, netip.MustParseAddr(addr))
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// sweep calls Tick until each record was looked at.
func (w *world) sweep() {
	w.Helper()
	for range shardCount {
		if err := w.learner.Tick(w.store, w.now); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) report() Report {
	w.Helper()
	r, err := w.learner.Report(w.store, w.now, 3)
	if err != nil {
		w.Fatal(err)
	}
	return r
}
