// Package replay tells what a policy would have done to the sessions in a mail log, and which of their clients cannot do
// TLS.
package replay

import (
	"context"
	"sync/atomic"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

// Policy decides about sessions of a log as the daemon would have done at their time.
type Policy struct {
	policy *lists.Policy
	decide func(context.Context, lists.Client) lists.Decision
	clock  *atomic.Int64 // ns since 1970: the time of the session
	stop   func()
	// Unavailable has the errors of lists that could not be loaded.
	Unavailable []error
	// WithoutDNS reports that the policy has DNS lists, or verifies names, and that DNS was not asked.
	WithoutDNS bool
}

// dnsTimeout is how long a query may take.
const dnsTimeout = 10 * time.Second

// Load reads the lists of a config. Without DNS, DNS lists count as unavailable, and names are those of the log. Close is to
// be called.
func Load(ctx context.Context, cfg *config.Config, withDNS bool) *Policy {
	p := &Policy{clock: &atomic.Int64{}, stop: func() {}}
	p.clock.Store(time.Now().UnixNano())
	manager := state.Load(cfg, func() time.Time { return time.Unix(0, p.clock.Load()) })
	snapshot := manager.Snapshot()
	p.Unavailable = snapshot.Unavailable()
	if withDNS {
		p.policy, p.decide = snapshot.Policy, snapshot.Policy.Decide
		p.stop = manager.RunOnce(ctx, dnsTimeout)
		return p
	}
	policy := *snapshot.Policy
	p.WithoutDNS = policy.Names != nil
	policy.Names, policy.FailOpen, policy.Wait, policy.Lists = nil, nil, 0, nil
	for i, l := range snapshot.Policy.Lists {
		if cfg.Lists[i].IsDNSList() {
			p.WithoutDNS = true
			offline := *l
			offline.Source = unavailable{}
			l = &offline
		}
		policy.Lists = append(policy.Lists, l)
	}
	p.policy = &policy
	p.decide = func(_ context.Context, c lists.Client) lists.Decision { return policy.DecideCached(c) }
	return p
}

// Close ends what Load began.
func (p *Policy) Close() { p.stop() }

// Decide returns the verdict on a session.
func (p *Policy) Decide(ctx context.Context, s *maillog.Session) Verdict {
	if !s.Time.IsZero() {
		p.clock.Store(s.Time.UnixNano())
	}
	return newVerdict(p.decide(ctx, lists.Client{Addr: s.Addr, Name: s.Name, HELO: lists.NormalizeName(s.HELO), Service: serviceOf(s)}))
}

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
