package fallback

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

const (
	noCipher   = "no-shared-cipher"
	oldVersion = "unsupported-protocol"
	noKeyShare = "no-suitable-key-share"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// world is a mail server with its log, clocks and clients.
type world struct {
	testing.TB
	*Learner
	tx               learnstore.Tx
	now              learnstore.Moment
	events           []Event
	standing         Standing
	never            netip.Addr
	observes         bool
	legacy, suppress *List
}

// newWorld returns a world with a suppress list, unless change says otherwise.
func newWorld(t testing.TB, change func(*Options)) *world {
	w := &world{TB: t, tx: learnstore.NewMemory(), now: learnstore.Moment{Wall: epoch, Followed: 1000 * time.Hour}, standing: StandingNone}
	o := Defaults()
	o.Suppress = true
	o.BreakerClients, o.BreakerMinimum = 1000, 1000 // tests of the breaker set their own
	if change != nil {
		change(&o)
	}
	w.legacy, w.suppress = NewList(lists.Legacy, nil, w.clock), NewList(lists.Suppress, nil, w.clock)
	w.start(o)
	return w
}

func (w *world) clock() time.Time { return w.now.Wall }

// start starts the rules on what the store has.
func (w *world) start(o Options) {
	w.Learner = New(o, Environment{
		Standing: func(lists.Client) Standing { return w.standing },
		Never:    func(c lists.Client) bool { return c.Addr == w.never },
		Enforced: func(lists.Action) bool { return !w.observes },
	}, func(e Event) { w.events = append(w.events, e) })
	w.wait(0)
}

// wait lets time pass.
func (w *world) wait(d time.Duration) {
	w.Helper()
	w.now = advance(w.now, d)
	if err := w.Tick(w.tx, w.now); err != nil {
		w.Fatal(err)
	}
	w.publish()
}

func (w *world) publish() {
	w.legacy.Publish(w.Table().AsOf(w.now))
	w.suppress.Publish(w.Table().AsOf(w.now))
}

// add adds a session that ended just now.
func (w *world) add(addr string, change ...func(*maillog.Session)) {
	w.Helper()
	s := maillog.Session{
		Time: w.now.Wall, End: w.now.Wall, Service: maillog.ServiceSMTP, Addr: netip.MustParseAddr(addr), Name: "mail.printer.example",
		Complete: true,
	}
	for _, c := range change {
		c(&s)
	}
	if err := w.Add(w.tx, w.now, &s); err != nil {
		w.Fatal(err)
	}
	w.publish()
}

// fails is a failure of a class, of the outcome that the class has in a log, as far as tests use it.
func fails(class string) func(*maillog.Session) {
	outcome := maillog.OutcomeIncapable
	switch class {
	case "wrong-version-number", "unexpected-packet":
		outcome = maillog.OutcomePlaintextClient
	case "lost-connection", "handshake-timeout", "decryption-failed":
		outcome = maillog.OutcomeTransient
	case "alert-unknown-ca", "alert-certificate-expired":
		outcome = maillog.OutcomeCertRejected
	case "inappropriate-fallback":
		outcome = maillog.OutcomeAttackOrBroken
	case "local-problem", "rate-limited":
		outcome = maillog.OutcomeLocal
	case "alert-internal-error", "lost-after-starttls", "starttls-refused":
		outcome = maillog.OutcomeAmbiguous
	}
	return func(s *maillog.Session) { s.TLS, s.Class, s.Outcome = maillog.TLSFailed, classByName[class], outcome }
}

func succeeds(version string) func(*maillog.Session) {
	return func(s *maillog.Session) {
		s.TLS, s.Class, s.Outcome, s.Version = maillog.TLSOK, maillog.ClassSuccess, maillog.OutcomeTLSOK, version
	}
}

func delivers(messages int) func(*maillog.Session) {
	return func(s *maillog.Session) {
		if s.Messages = messages; messages > 0 {
			s.Mail = maillog.MailAccepted
		}
	}
}

func named(name string) func(*maillog.Session)  { return func(s *maillog.Session) { s.Name = name } }
func logged(line string) func(*maillog.Session) { return func(s *maillog.Session) { s.Line = line } }
func onService(name string) func(*maillog.Session) {
	return func(s *maillog.Session) { s.Service = name }
}
func ending(at time.Time) func(*maillog.Session) {
	return func(s *maillog.Session) { s.Time, s.End = at, at }
}
func isScanner(s *maillog.Session) { s.Outcome = maillog.OutcomeScanner }
func saidNothing(s *maillog.Session) {
	s.Class, s.Outcome = maillog.ClassHandshakeOnly, maillog.OutcomeAmbiguous
}
func rejectedCertificateLater(s *maillog.Session) { s.Outcome = maillog.OutcomeCertRejectedLater }

// learn makes a client fail as often and as long as it takes.
func (w *world) learn(addr, class string, change ...func(*maillog.Session)) {
	w.Helper()
	for i := range 3 {
		if i > 0 {
			w.wait(31 * time.Minute)
		}
		w.add(addr, append([]func(*maillog.Session){fails(class)}, change...)...)
	}
}

// entryOf returns the entry of a client, nil if there is none.
func (w *world) entryOf(addr string) *entry { return w.entries[netip.MustParseAddr(addr)] }

func (*world) lookup(addr string) netip.Addr { return netip.MustParseAddr(addr) }

// isIn reports whether a list has the client, even if its last session was a probe.
func isIn(l *List, addr string) bool {
	_, _, ok := l.find(lists.Client{Addr: netip.MustParseAddr(addr)})
	return ok
}

// isReviewed reports whether a list matches the client in a review.
func isReviewed(l *List, addr string) bool {
	return l.Lookup(lists.Client{Addr: netip.MustParseAddr(addr)}).Status == lists.Matched
}

// connect is a new session, and reports whether the list matches the client. Both questions of the session are asked, each
// of which could be the only one.
func connect(l *List, addr string) bool {
	c := lists.Client{Addr: netip.MustParseAddr(addr)}
	offer := l.LookupSession(c).Status == lists.Matched
	c.Profile = true
	profile := l.LookupSession(c).Status == lists.Matched
	if l.action == lists.Legacy {
		return profile
	}
	return offer
}

// expect fails unless the list matches the client, or does not.
func (w *world) expect(l *List, addr string, want bool, what string) {
	w.Helper()
	if got := isIn(l, addr); got != want {
		r, _ := w.Client(w.tx, w.now, netip.MustParseAddr(addr))
		w.Errorf("%s: %s on the %s list: %v, want %v; not learned: %q", what, addr, l.action, got, want, r.NotLearned)
	}
}

func (w *world) hasEvent(kind EventKind) bool {
	return slices.ContainsFunc(w.events, func(e Event) bool { return e.Kind == kind })
}

// refused reports whether a reason why the client is not learned has the words.
func (w *world) refused(addr, words string) bool {
	r, err := w.Client(w.tx, w.now, netip.MustParseAddr(addr))
	if err != nil {
		w.Fatal(err)
	}
	return slices.ContainsFunc(r.NotLearned, func(why string) bool { return strings.Contains(why, words) })
}
