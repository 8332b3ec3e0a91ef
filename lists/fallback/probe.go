package fallback

import (
	"sync/atomic"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// probe decides which sessions of an entry are probes. Lookups change it at any time, and all tables share it.
type probe struct {
	sessions   atomic.Int64
	due        atomic.Bool  // the next session is a probe
	offered    atomic.Bool  // the last session was offered STARTTLS
	answered   atomic.Int64 // sessions that the entry answered, since Tick
	probes     atomic.Int64 // likewise
	overridden atomic.Int64 // sessions that were offered STARTTLS because of the cap, likewise

	recent [4]time.Time // of the last probes, newest last; only the Learner uses it
}

// matchSession reports whether the entry answers a new session.
func (p *probe) matchSession(every int64, allowed *budget) bool {
	isProbe := p.sessions.Add(1)%every == 0
	if p.due.Load() && p.due.CompareAndSwap(true, false) || isProbe {
		p.probes.Add(1)
		p.offered.Store(true)
		return false
	}
	if allowed != nil && !allowed.take() {
		p.overridden.Add(1)
		p.offered.Store(true)
		return false
	}
	p.answered.Add(1)
	p.offered.Store(false)
	return true
}

// collect takes over what lookups counted, and reports whether there was anything.
func (e *entry) collect(o *Options, now learnstore.Moment) (changed bool) {
	p := e.probe
	answered, probes := p.answered.Swap(0), p.probes.Swap(0)
	e.sessions += int(answered)
	if probes > 0 {
		e.probes += int(probes)
		e.lastProbe = now
		copy(p.recent[:], p.recent[1:])
		p.recent[len(p.recent)-1] = now.Wall
	}
	if since := now.Followed - e.lastProbe.Followed; since >= o.ProbeAfter {
		p.due.Store(true)
	}
	return answered+probes > 0
}

// probeGrace is how much later a probe is noted than it was, and by how much the log's clock may differ.
const probeGrace = 5 * time.Second

// wasProbe reports whether a session was a probe: one was noted while the session lasted.
func (p *probe) wasProbe(s *maillog.Session) bool {
	for _, t := range p.recent {
		if !t.IsZero() && !s.Time.IsZero() && !t.Before(s.Time.Add(-probeGrace)) && !t.After(s.End.Add(probeGrace)) {
			return true
		}
	}
	return false
}
