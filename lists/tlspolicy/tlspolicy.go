// Package tlspolicy finds out whether the domains that a mail server receives mail for are committed to STARTTLS: by an
// MTA-STS policy in mode enforce (RFC 8461), or by TLSA records of their MX hosts, which are DANE (RFC 7672). Sending
// servers that check defer, and in the end bounce, where STARTTLS is hidden from them. So while one domain is
// committed, only an operator's own lists may suppress.
//
// A commitment lasts for as long as sending servers or their resolvers may have it in a cache. In doubt there is one:
// if no check has succeeded yet, if a policy is announced and cannot be fetched, and if it is unknown whether TLSA
// records are secured by DNSSEC.
package tlspolicy

import (
	"cmp"
	"context"
	"crypto/x509"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

// Options says which domains a Monitor checks, and how.
type Options struct {
	// Domains that this server receives mail for; see [CheckDomain]. What is known of a domain is forgotten when it is
	// taken out: that is how an operator overrules a commitment.
	Domains []string
	// State is the path of the file that keeps what is known across restarts; "": there is none.
	State string
	// Local: every resolver is on loopback, so that no attacker on the way to it can set the AD bit (RFC 6840 section
	// 5.8, RFC 7672 section 2.2).
	Local bool
	// Interval is the time between two checks of a domain, less up to a tenth; 0: an hour. A check that failed is
	// repeated after a minute, two minutes, four and so on until the interval is reached.
	Interval time.Duration
	// Signed is a domain whose NS records are secured by DNSSEC. A resolver that does not say so does not validate. "":
	// the root.
	Signed string
	// Roots are the authorities that certify policy hosts; nil: those of the system.
	Roots *x509.CertPool
	// Dial connects to policy hosts; nil: a net.Dialer.
	Dial Dial
	// Notify is called for each event, one at a time; nil: events are dropped. It must not call the Monitor.
	Notify func(Event)
	// Previous is the Monitor that this one replaces, for example because the config changed; nil: there is none. What
	// it knows counts more than the state file.
	Previous *Monitor
}

// Dial connects to address, an IP address and a port, before ctx ends.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Monitor checks domains, and knows whether one of them is committed to STARTTLS. It is safe for concurrent use.
type Monitor struct {
	options  Options
	resolver dnsclient.Resolver
	now      func() time.Time // without a monotonic clock: cache times end at a date
	file     stateFile

	active   atomic.Bool
	checking chan struct{} // has an element while due domains are checked
	mu       sync.Mutex    // for what follows, and for all in domains
	domains  []*domain     // in the order of Options.Domains
	reported bool          // active was
}

var _ lists.Guard = (*Monitor)(nil)

// New returns a Monitor that knows what the state file has, and has sent no query yet. Until a domain has been checked,
// a commitment is assumed.
func New(o Options, resolver dnsclient.Resolver, clock func() time.Time) *Monitor {
	o.Interval = cmp.Or(max(o.Interval, 0), time.Hour)
	o.Signed = cmp.Or(o.Signed, ".")
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Notify == nil {
		o.Notify = func(Event) {}
	}
	m := &Monitor{
		options:  o,
		resolver: resolver,
		now:      func() time.Time { return clock().UTC().Round(0) },
		file:     stateFile{path: o.State, notify: o.Notify},
		checking: make(chan struct{}, 1),
	}
	now, saved := m.now(), m.file.readState()
	previous := o.Previous.saved()
	m.options.Previous = nil // which would keep all before it in memory, too
	for _, name := range o.Domains {
		name = lists.NormalizeName(name)
		if slices.ContainsFunc(m.domains, func(d *domain) bool { return d.name == name }) {
			continue
		}
		known, ok := previous[name]
		if !ok {
			known = saved[name]
		}
		m.domains = append(m.domains, newDomain(name, known, now))
	}
	m.active.Store(m.committedDomain(now) != nil)
	return m
}

// saved returns what is known, by domain.
func (m *Monitor) saved() map[string]savedDomain {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]savedDomain, len(m.domains))
	for _, d := range m.domains {
		all[d.name] = d.saved()
	}
	return all
}

func (m *Monitor) Active() bool { return m.active.Load() }
