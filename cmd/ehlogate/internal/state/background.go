package state

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
	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/cmd/ehlogate/internal/server"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/tlspolicy"
)

// background are the services that learn about clients and domains in the background. A service that the config does
// not use is nil. A reload that does not change the settings of a service keeps it, with its cache.
type background struct {
	DNS     *DNS               // for DNS lists and reverse DNS
	Guard   *tlspolicy.Monitor // of [guard] domains
	Limiter *ratelimit.Limiter // of default = "limit"
	// Pressure sets the rate of Limiter by the CPU pressure.
	Pressure *cpupressure.Service
	Logs     *logs.Service  // of [logs]; it decides nothing
	Learn    *learn.Service // of lists that learn
	Reports  *TLSReports    // of [tlsrpt]; they end learned entries

	servers []netip.AddrPort // resolvers
}

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
		s.DNS = old.DNS
		if s.DNS == nil || !sameDNS {
			s.DNS = newDNS(c.DNS.Cache, dnsclient.New(options), m.clock, logDNSEvents(m.log))
		}
		if m.failOpen == nil {
			m.failOpen = ratelimit.NewFailOpenLog(m.clock)
		}
		s.Policy.Wait, s.Policy.FailOpen = c.DNS.Wait, m.failOpen
		if c.DNS.VerifyNames {
			s.DNS = s.DNS.withNames()
			s.Policy.Names = s.DNS.names
		}
	}
	if len(c.Guard.Domains) > 0 {
		s.Guard = old.Guard
		if s.Guard == nil || !sameDNS || !reflect.DeepEqual(old.Config.Guard, c.Guard) {
			s.Guard = m.newGuard(c, options, old.Guard)
		}
		s.Policy.Guard = s.Guard
	}
	if c.Limit != nil {
		s.Limiter, s.Pressure = old.Limiter, old.Pressure
		if s.Limiter == nil || *old.Config.Limit != *c.Limit {
			s.Limiter, s.Pressure = m.newLimiter(c)
		}
		s.Policy.Limit = s.Limiter
	}
	if !c.Logs.IsEmpty() {
		options := LogsOptions(c)
		s.Logs = old.Logs
		if s.Logs == nil || !reflect.DeepEqual(s.Logs.Options(), options) {
			s.Logs = logs.New(options, old.Logs, m.clock, m.noteLogsEvent, m.learnFrom)
		}
	}
	m.attachLearning(s, old)
	if path := c.TLSRPT.State; path != "" {
		s.Reports = old.Reports
		if s.Reports == nil || s.Reports.path != path {
			s.Reports = newTLSReports(path, m.clock, m.log, m.withdrawLearned)
		}
	}
}

// newLimiter returns the limit of a config, and what sets it by the CPU pressure, if that is configured.
func (m *Manager) newLimiter(all *config.Config) (*ratelimit.Limiter, *cpupressure.Service) {
	c := all.Limit
	limiter := ratelimit.New(c.Rate, m.clock)
	if c.CPUPressure == 0 {
		return limiter, nil
	}
	for protocol, addr := range all.RemoteLookups() {
		m.log.Warnf("cpu_pressure is about the CPU of this machine, and %s on %s is for mail servers in containers or on other machines; for one on another machine use offers_per_second", protocol, addr)
		break
	}
	return limiter, cpupressure.New(cpupressure.Options{Target: c.CPUPressure, File: c.PressureFile}, limiter, m.clock, m.log)
}

// LogsOptions returns the settings of [logs] in a config.
func LogsOptions(c *config.Config) logs.Options {
	return logs.Options{Files: c.Logs.Files, Journal: c.Logs.Journal, State: c.Logs.State, Socket: c.Logs.Socket,
		SocketOptions: server.SocketOptions{Group: c.Listen.SocketGroup, Mode: c.Listen.SocketMode}}
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

func (s *Snapshot) dropUnusedZones() {
	if s.DNS == nil {
		return
	}
	var used []*dnsbl.List
	for _, source := range s.Sources {
		if source.DNS != nil {
			used = append(used, source.DNS)
		}
	}
	s.DNS.zones.Retain(used)
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
	dns, guard, pressure, logs, learn, reports service
}

func (r *services) switchTo(ctx context.Context, b background) {
	var dns, guard, pressure, logs, learn, reports runner
	if b.DNS != nil {
		dns = b.DNS.cache
	}
	if b.Guard != nil {
		guard = b.Guard
	}
	if b.Pressure != nil {
		pressure = b.Pressure
	}
	if b.Logs != nil {
		logs = b.Logs
	}
	if b.Reports != nil {
		reports = b.Reports
	}
	r.dns.switchTo(ctx, dns)
	r.guard.switchTo(ctx, guard)
	r.pressure.switchTo(ctx, pressure)
	r.logs.switchTo(ctx, logs)
	r.reports.switchTo(ctx, reports)
	if b.Learn != nil {
		learn = b.Learn
	}
	r.learn.switchTo(ctx, learn) // last: it takes what the logs had
}

// service runs one background service at a time.
type service struct {
	current runner // nil: none
	cancel  func()
	running sync.WaitGroup
}

type runner interface{ Run(context.Context) }

// switchTo stops the running service and starts another, if next is not nil, unless it is the same.
func (r *service) switchTo(ctx context.Context, next runner) {
	if r.current == next {
		return
	}
	if r.current != nil {
		r.cancel()
		r.running.Wait()
	}
	if r.current = next; next != nil {
		ctx, r.cancel = context.WithCancel(ctx)
		r.running.Go(func() { next.Run(ctx) })
	}
}

// RunOnce is for a command that decides once, in place of Run. It starts the background services, waits until zones had
// their health check and the guard looked at its domains, and returns. Each query may take up to timeout. stop ends the
// services.
func (m *Manager) RunOnce(ctx context.Context, timeout time.Duration) (stop func()) {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	s := m.Snapshot()
	var running sync.WaitGroup
	if s.DNS != nil {
		s.Policy.Wait = timeout
		running.Go(func() { s.DNS.cache.Run(ctx) })
		awaitHealthChecks(ctx, s.DNS)
	}
	if s.Guard != nil {
		limited, done := context.WithTimeout(ctx, timeout)
		s.Guard.Check(limited)
		done()
	}
	return func() { cancel(); running.Wait() }
}

// awaitHealthChecks returns when every zone had its first health check, or ctx is done.
func awaitHealthChecks(ctx context.Context, c *DNS) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	unchecked := func(z dnsbl.ZoneStats) bool { return z.State == "unchecked" }
	for slices.ContainsFunc(c.Stats().Zones, unchecked) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
