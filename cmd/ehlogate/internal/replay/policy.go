// Package replay tells what a policy would have done to the sessions in a mail log, and which of their clients cannot do
// TLS.
package replay

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/maillog"
	"ehlogate/lists/ratelimit"
)

// Policy decides about sessions of a log as the daemon would have done at their time.
type Policy struct {
	policy *lists.Policy
	decide func(context.Context, lists.Client) lists.Decision
	clock  *atomic.Int64 // ns since 1970: the time of the session
	stop   func()
	learn  *learning     // nil: no list learns
	limit  *config.Limit // nil: default is not "limit"
	begun  bool          // the clock is that of the log
	// Unavailable has the errors of lists that could not be loaded.
	Unavailable []error
	// WithoutDNS reports that the policy has DNS lists, or verifies names, and that DNS was not asked.
	WithoutDNS bool
	// WithoutPressure reports that the limit follows the CPU pressure, which a log does not tell.
	WithoutPressure bool
}

// dnsTimeout is how long a query may take.
const dnsTimeout = 10 * time.Second

// Load reads the lists of a config. Without DNS, DNS lists count as unavailable, and names are those of the log. Close is to
// be called.
func Load(ctx context.Context, cfg *config.Config, withDNS bool) *Policy {
	p := &Policy{clock: &atomic.Int64{}, stop: func() {}}
	p.clock.Store(time.Now().UnixNano())
	manager := state.Load(cfg, p.now)
	snapshot := manager.Snapshot()
	p.Unavailable = snapshot.Unavailable()
	policy := *snapshot.Policy
	policy.Lists = slices.Clone(policy.Lists)
	p.policy, p.decide, p.limit = &policy, policy.Decide, cfg.Limit
	p.WithoutPressure = cfg.Limit != nil && cfg.Limit.CPUPressure > 0
	offline := map[*lists.List]bool{}
	if withDNS {
		p.stop = manager.RunOnce(ctx, dnsTimeout)
	} else {
		p.WithoutDNS = policy.Names != nil
		policy.Names, policy.FailOpen, policy.Wait = nil, nil, 0
		for i, l := range policy.Lists {
			if cfg.Lists[i].IsDNSList() {
				p.WithoutDNS, offline[l] = true, true
				without := *l
				without.Source = unavailable{}
				policy.Lists[i] = &without
			}
		}
		p.decide = func(_ context.Context, c lists.Client) lists.Decision { return policy.DecideCached(c) }
	}
	if cfg.Learns() {
		p.learn = newLearning(cfg, snapshot, &policy, func(l *lists.List) bool { return offline[l] })
	}
	return p
}

// Close ends what Load began.
func (p *Policy) Close() { p.stop() }

// Decide returns the verdict on a session. Lists that learn do so afterwards.
func (p *Policy) Decide(ctx context.Context, s *maillog.Session) Verdict {
	if !s.Time.IsZero() {
		p.setTime(s.Time)
	}
	c := lists.Client{Addr: s.Addr, Name: s.Name, HELO: lists.NormalizeName(s.HELO), Service: serviceOf(s)}
	if p.learn == nil {
		return newVerdict(p.decide(ctx, c))
	}
	p.learn.passTime(s.Time)
	d := p.decide(ctx, c)
	for isEarned := range p.learn.matched(&d) {
		p.learn.tally.countSession(isEarned)
	}
	p.learn.learn(s)
	return newVerdict(d)
}

// Report adds to a report what lists learned, with at most top clients of each kind.
func (p *Policy) Report(r *Report, top int) error {
	if p.learn == nil {
		return nil
	}
	p.learn.report(r, top)
	return p.learn.err
}

// DecideAt returns the decision about a client at a time.
func (p *Policy) DecideAt(ctx context.Context, at time.Time, c lists.Client) lists.Decision {
	p.setTime(at)
	return p.decide(ctx, c)
}

// setTime sets the clock to that of the log. What counts over time begins with the first session: to a limit that was made
// now, time would stand still in a log of the past, and soon no client would be offered STARTTLS.
func (p *Policy) setTime(at time.Time) {
	p.clock.Store(at.UnixNano())
	if p.begun {
		return
	}
	p.begun = true
	if p.limit != nil {
		p.policy.Limit = ratelimit.New(p.limit.Rate, p.now)
	}
	if p.policy.FailOpen != nil {
		p.policy.FailOpen = ratelimit.NewFailOpenLog(p.now)
	}
}

func (p *Policy) now() time.Time { return time.Unix(0, p.clock.Load()) }

func serviceOf(s *maillog.Session) lists.Service {
	if s.IsPort25() {
		return lists.SMTP
	}
	return lists.Submission
}

// unavailable is the source of a DNS list that is not asked.
type unavailable struct{}

// Lookup implements [lists.Source].
func (unavailable) Lookup(lists.Client) lists.Match { return lists.Match{Status: lists.Unavailable} }
