// Package guard finds out whether STARTTLS was promised to everybody for a
// domain that is served here, by MTA-STS (RFC 8461) or by DANE (RFC 7672).
// Senders that rely on such a promise defer, and in the end bounce, where
// STARTTLS is hidden from them; so while one stands, only what an operator
// wrote himself may suppress.
//
// In doubt there is a promise: where nothing was ever found out, where a
// published policy cannot be fetched, and where TLSA records are there and
// nobody can tell whether they are secured.
package tlspolicy

import (
	"context"
	"crypto/x509"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

// Options says what is guarded.
type Options struct {
	// Domains for which this server receives mail; see CheckDomain. What was
	// promised for a domain is forgotten when it is taken out: that is how an
	// operator ends a promise on his own responsibility.
	Domains []string
	// State is the path of the file that remembers promises across restarts;
	// "": nowhere.
	State string
	// Local: every resolver is on loopback, so that nobody on the way to it can
	// set the AD bit (RFC 6840 section 5.8, RFC 7672 section 2.2).
	Local bool
	// Interval is the time between two checks of a domain, a tenth less at
	// times; 0: an hour. A check that failed is repeated after a minute, two
	// minutes, four and so on until the interval is reached.
	Interval time.Duration
	// Signed is a domain whose NS records are certainly secured by DNSSEC. A
	// resolver that does not say so does not validate. "": the root.
	Signed string
}

// Dial opens a connection to address, an IP address and a port, until ctx ends.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Option changes how policies are fetched.
type Option func(*Monitor)

// WithRoots sets the authorities that vouch for policy hosts, in place of those
// of the system.
func WithRoots(roots *x509.CertPool) Option { return func(g *Monitor) { g.roots = roots } }

// WithDial sets how policy hosts are connected to.
func WithDial(dial Dial) Option { return func(g *Monitor) { g.dial = dial } }

// Continue gives what another guard knows, which this one replaces: a change of the
// config is no reason to forget a promise.
func Continue(other *Monitor) Option {
	return func(g *Monitor) {
		other.mu.Lock()
		defer other.mu.Unlock()
		g.before = make(map[string]savedDomain)
		for _, d := range other.all {
			g.before[d.name] = d.savedDomain
		}
	}
}

// Monitor knows what is promised. It is safe for concurrent use.
type Monitor struct {
	config Options
	ask    dnsclient.Resolver
	now    func() time.Time // without a monotonic clock: promises end at a date
	log    logrus.FieldLogger
	roots  *x509.CertPool // nil: those of the system
	dial   Dial
	file   file
	before map[string]savedDomain // counts more than the file

	holds  atomic.Bool
	busy   chan struct{} // has an element during a round
	mu     sync.Mutex    // for what follows, and all that is in domains
	all    []*domain     // in the order of the config
	judged bool          // holds was logged
}

var _ lists.Guard = (*Monitor)(nil)

// New makes a guard that knows what the state file remembers, and asks nobody
// yet. Until a domain has been checked, a promise is assumed.
func New(cfg Options, ask dnsclient.Resolver, clock func() time.Time, log logrus.FieldLogger, opts ...Option) *Monitor {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Hour
	}
	if cfg.Signed == "" {
		cfg.Signed = "."
	}
	g := &Monitor{
		config: cfg, ask: ask, log: log,
		now:  func() time.Time { return clock().UTC().Round(0) },
		dial: new(net.Dialer).DialContext,
		file: file{path: cfg.State, log: log},
		busy: make(chan struct{}, 1),
	}
	for _, o := range opts {
		o(g)
	}
	now, remembered := g.now(), g.file.read()
	for _, name := range cfg.Domains {
		name = lists.NormalizeName(name)
		if slices.ContainsFunc(g.all, func(d *domain) bool { return d.name == name }) {
			continue
		}
		d := &domain{name: name, savedDomain: remembered[name]}
		if m, ok := g.before[name]; ok {
			d.savedDomain = m
		}
		d.STS.recall(now)
		d.DANE.recall(now)
		d.said = d.standing(now)
		g.all = append(g.all, d)
	}
	g.holds.Store(g.holding(now) != nil)
	return g
}

// Active implements lists.Guard.
func (g *Monitor) Active() bool { return g.holds.Load() }
