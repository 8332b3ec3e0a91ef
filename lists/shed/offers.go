package shed

import (
	"hash/maphash"
	"net/netip"
	"time"

	"ehlogate/lists"
)

// Offers remembers for an hour who was offered STARTTLS because something was
// not known then.
type Offers struct {
	clock  func() time.Time
	start  time.Time
	memory memory
}

var _ lists.Offers = (*Offers)(nil)

// NewOffers remembers nobody yet.
func NewOffers(clock func() time.Time) *Offers {
	return &Offers{clock: clock, start: clock(), memory: memory{seed: maphash.MakeSeed()}}
}

// Note implements lists.Offers.
func (o *Offers) Note(addr netip.Addr, unsure bool) {
	now, id := int64(o.clock().Sub(o.start)), o.memory.id(addr)
	switch {
	case unsure:
		o.memory.put(id, lists.Offer, now)
	case o.Noted(addr):
		o.memory.put(id, lists.Suppress, now)
	}
}

// Noted implements lists.Offers.
func (o *Offers) Noted(addr netip.Addr) bool {
	now := int64(o.clock().Sub(o.start))
	was, at, known := o.memory.get(o.memory.id(addr), now)
	return known && was == lists.Offer && now-at < int64(report)
}
