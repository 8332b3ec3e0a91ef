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
	"ehlogate/lists/listfile"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/tlspolicy"
)

// background is what is found out beside the answers. Each part outlives a reload of
// the config that does not change it, with all that it knows. A part that the
// config has no use for is nil.
type background struct {
	servers []netip.AddrPort // that are asked

	dns   *dnsbl.Client
	guard *tlspolicy.Monitor
	shed  *ratelimit.Limiter
}

// DNS is what lists by DNS and names of clients are asked through; nil if
// nothing is.
func (l *Snapshot) DNS() *dnsbl.Client { return l.dns }

// Guard knows whether a domain is committed to STARTTLS; nil if the config names no domains.
func (l *Snapshot) Guard() *tlspolicy.Monitor { return l.guard }

// Limiter decides about unknown clients; nil if the default is one word.
func (l *Snapshot) Limiter() *ratelimit.Limiter { return l.shed }

// ask makes what live asks, or finds it in old.
func (e *Manager) ask(live, old *Snapshot) {
	c := live.Config
	var to dnsclient.Options
	if c.UsesDNS() || len(c.Guard.Domains) > 0 {
		to = e.resolvers(c, old)
		live.servers = to.Servers
	}
	sameDNS := old != nil && slices.Equal(old.servers, live.servers) // which may be those of resolv.conf
	if sameDNS {
		was := old.Config.DNS
		was.Wait, was.VerifyNames = c.DNS.Wait, c.DNS.VerifyNames // which change nothing about what is known
		sameDNS = reflect.DeepEqual(was, c.DNS)
	}
	if c.UsesDNS() {
		if sameDNS && old.dns != nil {
			live.dns = old.dns
		} else {
			live.dns = dnsbl.New(c.DNS.Cache, dnsclient.New(to), e.clock, e.log)
		}
		live.Policy.Wait = c.DNS.Wait
		if e.offers == nil {
			e.offers = ratelimit.NewFailOpenLog(e.clock)
		}
		live.Policy.FailOpen = e.offers
		if c.DNS.VerifyNames {
			live.Policy.Names = live.dns.Names()
		}
	}
	if len(c.Guard.Domains) > 0 {
		if sameDNS && old.guard != nil && reflect.DeepEqual(old.Config.Guard, c.Guard) {
			live.guard = old.guard
		} else {
			local := !slices.ContainsFunc(to.Servers, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() })
			var previous *tlspolicy.Monitor
			if old != nil {
				previous = old.guard
			}
			live.guard = tlspolicy.New(tlspolicy.Options{Domains: c.Guard.Domains, State: c.Guard.State, Local: local, Previous: previous,
				Notify: func(event tlspolicy.Event) { logGuardEvent(e.log, event) }}, dnsclient.New(to), e.clock)
		}
		live.Policy.Guard = live.guard
	}
	if c.Limit != nil {
		if old != nil && old.shed != nil && old.shed.Rate() == *c.Limit {
			live.shed = old.shed
		} else {
			live.shed = ratelimit.New(*c.Limit, e.clock)
		}
		live.Policy.Limit = live.shed
	}
}

// retain forgets zones that are no longer asked.
func (l *Snapshot) retain() {
	if l.dns == nil {
		return
	}
	var in []*dnsbl.List
	for _, s := range l.Sources {
		if s.DNS != nil {
			in = append(in, s.DNS)
		}
	}
	l.dns.Retain(in)
}

// tries is how often a question is asked, at all resolvers together.
const tries = 3

// resolvers are those of the config, else of the system, else on this host, as
// with resolver(3).
func (e *Manager) resolvers(c *config.Config, old *Snapshot) dnsclient.Options {
	out := dnsclient.Options{Servers: c.DNS.Resolvers, Timeout: c.DNS.Timeout, Tries: tries}
	if len(out.Servers) == 0 {
		var err error
		out.Servers, err = dnsclient.SystemServers()
		switch path := new(fs.PathError); {
		case err == nil:
		case errors.As(err, &path) && !listfile.IsContent(err) && old != nil && len(old.servers) > 0:
			e.log.WithError(err).Warn("the resolvers stay as they were")
			out.Servers = old.servers
		default:
			e.log.WithError(err).Warn("no resolver is known but 127.0.0.1; name them in [dns] resolvers = [...]")
			out.Servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
		}
	}
	return out
}

// services keeps what is asked beside running: the parts of one state at a time.
type services struct {
	dns, guard running
}

type running struct {
	what any // nil: nothing
	stop func()
}

// run lets the parts of a run, and ends those of the one before that it does
// not have.
func (r *services) run(ctx context.Context, a background) {
	if a.dns != nil {
		r.dns.replace(ctx, a.dns, a.dns.Run)
	} else {
		r.dns.end()
	}
	if a.guard != nil {
		r.guard.replace(ctx, a.guard, a.guard.Run)
	} else {
		r.guard.end()
	}
}

func (r *services) stop() { r.run(context.Background(), background{}) }

func (r *running) replace(ctx context.Context, what any, run func(context.Context)) {
	if r.what == what {
		return
	}
	r.end()
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { run(ctx) })
	*r = running{what, func() { cancel(); done.Wait() }}
}

func (r *running) end() {
	if r.what != nil {
		r.stop()
		*r = running{}
	}
}

// RunOnce is for a command that asks once, in place of Run: it lets questions be
// asked until the function it returns is called, each for no longer than
// patience, and returns when zones were tested and promises looked for.
func (e *Manager) RunOnce(ctx context.Context, patience time.Duration) (stop func()) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	live := e.Snapshot()
	var running sync.WaitGroup
	if live.dns != nil {
		live.Policy.Wait = patience
		running.Go(func() { live.dns.Run(ctx) })
		awaitTests(ctx, live.dns)
	}
	if live.guard != nil {
		limited, done := context.WithTimeout(ctx, patience)
		live.guard.Check(limited)
		done()
	}
	return func() { cancel(); running.Wait() }
}

// awaitTests returns when every zone has been tested once.
func awaitTests(ctx context.Context, s *dnsbl.Client) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	untested := func(z dnsbl.UpstreamStats) bool { return z.State == "half-open" }
	for slices.ContainsFunc(s.Stats().Zones, untested) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
