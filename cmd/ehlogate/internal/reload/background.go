package reload

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/tlspolicy"
)

// background are the services that learn about clients and domains in the background. A service that the config does
// not use is nil. A reload that does not change the settings of a service keeps it, with its cache.
type background struct {
	servers []netip.AddrPort // resolvers

	dns     *DNS
	guard   *tlspolicy.Monitor
	limiter *ratelimit.Limiter
}

// DNS returns the client for DNS lists and reverse DNS; nil if the config uses neither.
func (b *background) DNS() *DNS { return b.dns }

// Guard returns the monitor of MTA-STS and DANE; nil if the config names no domains.
func (b *background) Guard() *tlspolicy.Monitor { return b.guard }

// Limiter returns the limiter of default = "limit"; nil with another default.
func (b *background) Limiter() *ratelimit.Limiter { return b.limiter }

// attachBackground gives s the services that its config uses, from old or new ones.
func (m *Manager) attachBackground(s, old *Snapshot) {
	if old == nil {
		old = &Snapshot{Config: new(config.Config)}
	}
	c := s.Config
	var options dnsclient.Options
	if c.UsesDNS() || len(c.Guard.Domains) > 0 {
		options = m.dnsOptions(c, old)
		s.servers = options.Servers
	}
	sameDNS := slices.Equal(old.servers, s.servers) && sameDNSConfig(old.Config.DNS, c.DNS)
	if c.UsesDNS() {
		s.dns = old.dns
		if s.dns == nil || !sameDNS {
			s.dns = newDNS(c.DNS.Cache, dnsclient.New(options), m.clock, logDNSEvents(m.log))
		}
		if m.failOpen == nil {
			m.failOpen = ratelimit.NewFailOpenLog(m.clock)
		}
		s.Policy.Wait, s.Policy.FailOpen = c.DNS.Wait, m.failOpen
		if c.DNS.VerifyNames {
			s.dns = s.dns.withNames()
			s.Policy.Names = s.dns.names
		}
	}
	if len(c.Guard.Domains) > 0 {
		s.guard = old.guard
		if s.guard == nil || !sameDNS || !reflect.DeepEqual(old.Config.Guard, c.Guard) {
			s.guard = m.newGuard(c, options, old.guard)
		}
		s.Policy.Guard = s.guard
	}
	if c.Limit != nil {
		s.limiter = old.limiter
		if s.limiter == nil || s.limiter.Rate() != *c.Limit {
			s.limiter = ratelimit.New(*c.Limit, m.clock)
		}
		s.Policy.Limit = s.limiter
	}
}

// sameDNSConfig reports whether what was learned with settings a is valid with settings b.
func sameDNSConfig(a, b config.DNS) bool {
	a.Wait, a.VerifyNames = b.Wait, b.VerifyNames
	return reflect.DeepEqual(a, b)
}

// newGuard returns a monitor that continues with what old, if not nil, knows.
func (m *Manager) newGuard(c *config.Config, options dnsclient.Options, old *tlspolicy.Monitor) *tlspolicy.Monitor {
	local := !slices.ContainsFunc(options.Servers, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() })
	return tlspolicy.New(tlspolicy.Options{Domains: c.Guard.Domains, State: c.Guard.State, Local: local, Previous: old,
		Notify: func(event tlspolicy.Event) { logGuardEvent(m.log, event) }}, dnsclient.New(options), m.clock)
}

// dropUnusedZones drops the cache of zones that no list uses any more.
func (s *Snapshot) dropUnusedZones() {
	if s.dns == nil {
		return
	}
	var used []*dnsbl.List
	for _, source := range s.Sources {
		if source.DNS != nil {
			used = append(used, source.DNS)
		}
	}
	s.dns.zones.Retain(used)
}

// tries is how often a query is sent, to all resolvers together.
const tries = 3

// dnsOptions returns the settings of the DNS client. The resolvers are those of the config, else of the system; if the
// system's cannot be read those of old, else 127.0.0.1, as with resolver(3).
func (m *Manager) dnsOptions(c *config.Config, old *Snapshot) dnsclient.Options {
	out := dnsclient.Options{Servers: c.DNS.Resolvers, Timeout: c.DNS.Timeout, Tries: tries}
	if len(out.Servers) > 0 {
		return out
	}
	var err error
	out.Servers, err = dnsclient.SystemServers()
	switch path := new(fs.PathError); {
	case err == nil:
	case errors.As(err, &path) && !filewatch.IsContentError(err) && len(old.servers) > 0:
		m.log.WithError(err).Warn("cannot read the resolvers of the system; previous resolvers stay in use")
		out.Servers = old.servers
	default:
		m.log.WithError(err).Warn("no resolver configured; using 127.0.0.1; set [dns] resolvers = [...]")
		out.Servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return out
}

// services runs the background services of one snapshot at a time.
type services struct {
	dns, guard service
}

// switchTo starts the services of b, and stops running ones that b does not have.
func (r *services) switchTo(ctx context.Context, b background) {
	if b.dns != nil {
		r.dns.replace(ctx, b.dns.cache, b.dns.cache.Run)
	} else {
		r.dns.stop()
	}
	if b.guard != nil {
		r.guard.replace(ctx, b.guard, b.guard.Run)
	} else {
		r.guard.stop()
	}
}

func (r *services) stopAll() { r.switchTo(context.Background(), background{}) }

// service is a background service that runs in a goroutine.
type service struct {
	running any // nil: none
	cancel  func()
}

// replace stops the running service and starts another, unless it is the same.
func (r *service) replace(ctx context.Context, next any, run func(context.Context)) {
	if r.running == next {
		return
	}
	r.stop()
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { run(ctx) })
	*r = service{next, func() { cancel(); done.Wait() }}
}

func (r *service) stop() {
	if r.running != nil {
		r.cancel()
		*r = service{}
	}
}

// RunOnce is for a command that decides once, in place of Run. It starts the background services, waits until zones had
// their health check and the guard looked at its domains, and returns. Each query may take up to timeout. stop ends the
// services.
func (m *Manager) RunOnce(ctx context.Context, timeout time.Duration) (stop func()) {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	s := m.Snapshot()
	var running sync.WaitGroup
	if s.dns != nil {
		s.Policy.Wait = timeout
		running.Go(func() { s.dns.cache.Run(ctx) })
		awaitHealthChecks(ctx, s.dns)
	}
	if s.guard != nil {
		limited, done := context.WithTimeout(ctx, timeout)
		s.guard.Check(limited)
		done()
	}
	return func() { cancel(); running.Wait() }
}

// awaitHealthChecks returns when every zone had its first health check, or ctx is done.
func awaitHealthChecks(ctx context.Context, c *DNS) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	unchecked := func(z dnsbl.ZoneStats) bool { return z.State == "half-open" }
	for slices.ContainsFunc(c.Stats().Zones, unchecked) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
