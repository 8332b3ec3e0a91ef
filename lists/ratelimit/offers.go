package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"time"

	"ehlogate/lists"
)

// Offers remembers for an hour the clients that were offered STARTTLS because
// something was not known then.
type Offers struct {
	clock  clock
	memory memory
}

var _ lists.Offers = (*Offers)(nil)

// NewOffers returns an Offers that remembers no client yet.
func NewOffers(now func() time.Time) *Offers {
	o := &Offers{memory: memory{seed: maphash.MakeSeed()}}
	o.clock.begin(now)
	return o
}

// Note implements lists.Offers.
func (o *Offers) Note(addr netip.Addr, unsure bool) {
	id := o.memory.id(addr)
	for {
		now := o.clock.now()
		was := o.memory.find(id)
		is := newAnswer(id, lists.Offer, now)
		if !unsure {
			if !noted(was, now) {
				return
			}
			is = newAnswer(id, lists.Suppress, now)
		}
		if is == was || o.memory.replace(id, was, is, now) {
			return
		}
	}
}

// Noted implements lists.Offers.
func (o *Offers) Noted(addr netip.Addr) bool {
	return noted(o.memory.find(o.memory.id(addr)), o.clock.now())
}

func noted(w answer, now int64) bool { return w.within(report, now) && w.action() == lists.Offer }
