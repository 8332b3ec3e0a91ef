package telemetry

import (
	"hash/maphash"
	"math"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ehlogate/lists"
)

const (
	// nameWindow is how long HELO names of an address are collected.
	nameWindow = 10 * time.Minute
	// minNames is how many names make an address one that many hosts share. A mail server has one or a few. A public address
	// may also be that of one client that claims ever other names, as some bots do.
	minNames, minPublicNames = 10, 40
	// nameSlots is how many addresses are looked at, at a time.
	nameSlots = 256
)

// names finds an address from which clients with many HELO names come. It needs 16 KB, whatever clients come: an address has
// one place, which a busier one keeps.
type names struct {
	seed  maphash.Seed
	mu    sync.Mutex
	slots [nameSlots]nameSlot
	found atomic.Pointer[namedAddress] // the last one; nil: there was none
}

type nameSlot struct {
	addr   netip.Addr
	begun  time.Time
	weight int       // sessions of it, less those of others in its place
	seen   [2]uint64 // a bit for each hash of a name
}

// namedAddress is a SharedAddress with its time.
type namedAddress struct {
	SharedAddress
	at time.Time
}

// add takes a HELO name into account. If another caller is here, it is left out. It reports an
// address that has become one that is shared.
func (n *names) add(addr netip.Addr, helo string, now time.Time) *namedAddress {
	if !n.mu.TryLock() {
		return nil
	}
	defer n.mu.Unlock()
	slot := &n.slots[maphash.Comparable(n.seed, addr)%nameSlots]
	if age := now.Sub(slot.begun); age < 0 || age >= nameWindow {
		*slot = nameSlot{}
	}
	if slot.addr != addr {
		if slot.weight--; slot.weight >= 0 {
			return nil
		}
		*slot = nameSlot{addr: addr, begun: now}
	}
	slot.weight = min(slot.weight+1, nameSlots)
	h := maphash.String(n.seed, helo) % 128
	if bit := uint64(1) << (h % 64); slot.seen[h/64]&bit == 0 {
		slot.seen[h/64] |= bit
	} else {
		return nil // no name more
	}
	least := minPublicNames
	if lists.MayBeShared(addr) {
		least = minNames
	}
	count := slot.count()
	if count < least {
		return nil
	}
	found := &namedAddress{SharedAddress{Addr: addr, Names: count}, now}
	n.found.Store(found)
	return found
}

// count estimates the number of names from the bits that are set (linear counting).
func (s *nameSlot) count() int {
	set := bits.OnesCount64(s.seen[0]) + bits.OnesCount64(s.seen[1])
	return int(math.Round(-128 * math.Log(1-float64(min(set, 127))/128)))
}

// current returns the address that was found within the last two windows; nil: there is none.
func (n *names) current(now time.Time) *SharedAddress {
	if f := n.found.Load(); f != nil && now.Sub(f.at) < 2*nameWindow {
		return &f.SharedAddress
	}
	return nil
}

// ofPrivate returns the number of names of a private address that was found, else 0.
func (n *names) ofPrivate(now time.Time) float64 {
	if s := n.current(now); s != nil && lists.MayBeShared(s.Addr) {
		return float64(s.Names)
	}
	return 0
}

// noteName counts the HELO names of an address that several clients may share, if they share a decision that restricts them.
// Policy and milter know the name, once a session; no lookup pays for it.
func (r *Recorder) noteName(c *lists.Client, d *lists.Decision) {
	if v, _ := d.WithoutObserve(); !v.Restricts() || !c.Addr.IsValid() || c.HELO == "" {
		return
	}
	now := time.Now()
	found := r.names.add(c.Addr, c.HELO, now)
	if found == nil || !r.shares.mayWarn(now) {
		return
	}
	log := r.log.WithField("client", found.Addr.String())
	if lists.MayBeShared(found.Addr) {
		log.Warnf("clients with about %d HELO names came from one private address, and share one decision: "+letSee, found.Names)
	} else {
		log.Warnf("clients with about %d HELO names came from one address, and share one decision: a proxy or a NAT, or one client that claims ever other names? "+letSee, found.Names)
	}
}
