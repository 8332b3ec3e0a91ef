package telemetry

import (
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists"
)

// SharedAddress is an address that so many sessions, or clients with so many HELO names, come from that it may be that of a
// proxy, a NAT or the bridge of a container, while the decision about it is one that clients should not share.
type SharedAddress struct {
	Addr  netip.Addr `json:"addr"`
	Share float64    `json:"share"`           // of the last sessions, from 0 to 1; 0: few
	Names int        `json:"names,omitempty"` // HELO names within ten minutes, about; 0: few, or not known
}

const (
	// shareWindow is how many sampled sessions a share is made of. One in timedShare is sampled, so it is one of about a
	// thousand sessions.
	shareWindow = 64
	// minShare is the share from which on an address counts as shared. Behind a proxy or a NAT it is nearly 1; on a bridge
	// that forwards IPv4 and proxies IPv6, as Docker can, it is the share of IPv6. Of 64 samples 13 are needed; a host with 5 %
	// of the sessions has so many once in 70,000 windows.
	minShare = 0.2
	// minLoopbackShare is that of loopback, from which many servers are monitored: 1,440 sessions a day if that is once a
	// minute, which may be more than clients have.
	minLoopbackShare = 0.8
	// sharedInterval is the pause between two warnings.
	sharedInterval = time.Hour

	letSee = "let the mail server see the addresses of clients (PROXY protocol, host network); if it is one client, put it on an offer list"
)

// shares finds a SharedAddress. It holds 64 addresses, whatever clients come.
type shares struct {
	mu      sync.Mutex
	seen    [shareWindow]netip.Addr // invalid: a session that does not matter
	n       int
	warned  atomic.Int64                  // time of the last warning, in ns since 1970; 0: never
	current atomic.Pointer[SharedAddress] // of the last full window; nil: there is none
}

// sampleSession takes into account one of the sessions, which are few enough for the lock. If another caller has it, the
// session is left out.
func (r *Recorder) sampleSession(addr netip.Addr, d *lists.Decision) {
	s := &r.shares
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	s.seen[s.n] = netip.Addr{}
	if v, _ := d.WithoutObserve(); v.Restricts() && lists.MayBeShared(addr) {
		s.seen[s.n] = addr
	}
	if s.n++; s.n < shareWindow {
		return
	}
	s.n = 0
	found := findShared(s.seen[:])
	s.current.Store(found)
	r.metrics.shared.Set(found.share())
	if found != nil && s.mayWarn(time.Now()) {
		r.log.WithField("client", found.Addr.String()).Warnf("%.0f %% of the last sessions came from one private address, and share one decision: "+
			"if it is a proxy, a NAT or the bridge of a container, "+letSee, math.Floor(100*found.Share))
	}
}

// mayWarn reports whether a warning may be logged: one in sharedInterval.
func (s *shares) mayWarn(now time.Time) bool {
	last := s.warned.Load()
	return (last == 0 || now.UnixNano()-last >= int64(sharedInterval)) && s.warned.CompareAndSwap(last, now.UnixNano())
}

// share returns the share of the sessions; 0 if s is nil.
func (s *SharedAddress) share() float64 {
	if s == nil {
		return 0
	}
	return s.Share
}

// findShared returns the address that most of the sessions have, if those are enough.
func findShared(seen []netip.Addr) *SharedAddress {
	count := make(map[netip.Addr]int)
	var most netip.Addr
	for _, a := range seen {
		if a.IsValid() {
			if count[a]++; count[a] > count[most] {
				most = a
			}
		}
	}
	share, least := float64(count[most])/float64(len(seen)), minShare
	if most.IsLoopback() {
		least = minLoopbackShare
	}
	if !most.IsValid() || share < least {
		return nil
	}
	return &SharedAddress{Addr: most, Share: share}
}

// Shared returns the address that many of the last sessions came from, or else clients with many names; nil: there is none.
func (r *Recorder) Shared() *SharedAddress {
	byShare, byName := r.shares.current.Load(), r.names.current(time.Now())
	if byShare == nil || byName != nil && byShare.Addr == byName.Addr {
		if byShare != nil {
			both := *byShare
			both.Names = byName.Names
			return &both
		}
		return byName
	}
	return byShare
}
