package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"time"

	"ehlogate/lists"
)

// FailOpenLog keeps for an hour which clients were offered STARTTLS because a list was unavailable.
type FailOpenLog struct {
	clock  clock
	recent recentDecisions
}

var _ lists.FailOpenLog = (*FailOpenLog)(nil)

// NewFailOpenLog returns an empty log.
func NewFailOpenLog(now func() time.Time) *FailOpenLog {
	return &FailOpenLog{clock: clock{wall: now, start: now()}, recent: recentDecisions{seed: maphash.MakeSeed()}}
}

func (l *FailOpenLog) Record(addr netip.Addr, failedOpen bool) {
	id := l.recent.hashClient(addr)
	for {
		now := l.clock.elapsed()
		last := l.recent.lookup(id)
		action := lists.Offer
		if !failedOpen {
			if !last.isFailOpen(now) {
				return
			}
			action = lists.Suppress
		}
		next := newRecord(id, action, lists.ReasonLimit, now)
		if next == last || l.recent.replace(id, last, next, now) {
			return
		}
	}
}

func (l *FailOpenLog) Recorded(addr netip.Addr) bool {
	return l.recent.lookup(l.recent.hashClient(addr)).isFailOpen(l.clock.elapsed())
}

// isFailOpen reports whether a record of a FailOpenLog stands for such an offer.
func (r record) isFailOpen(now int64) bool {
	return r.isWithin(reportTime, now) && r.action() == lists.Offer
}
