package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"time"

	"ehlogate/lists"
)

// FailOpenLog remembers for an hour the clients that were offered STARTTLS because
// something was not known then.
type FailOpenLog struct {
	clock  clock
	memory recentDecisions
}

var _ lists.FailOpenLog = (*FailOpenLog)(nil)

// NewFailOpenLog returns an Offers that remembers no client yet.
func NewFailOpenLog(now func() time.Time) *FailOpenLog {
	o := &FailOpenLog{memory: recentDecisions{seed: maphash.MakeSeed()}}
	o.clock.begin(now)
	return o
}

// Record implements lists.Offers.
func (o *FailOpenLog) Record(addr netip.Addr, unsure bool) {
	id := o.memory.id(addr)
	for {
		now := o.clock.now()
		was := o.memory.find(id)
		is := newRecord(id, lists.Offer, now)
		if !unsure {
			if !noted(was, now) {
				return
			}
			is = newRecord(id, lists.Suppress, now)
		}
		if is == was || o.memory.replace(id, was, is, now) {
			return
		}
	}
}

// Recorded implements lists.Offers.
func (o *FailOpenLog) Recorded(addr netip.Addr) bool {
	return noted(o.memory.find(o.memory.id(addr)), o.clock.now())
}

func noted(w record, now int64) bool { return w.within(report, now) && w.action() == lists.Offer }
