package feed

import (
	"encoding/binary"
	"net/netip"
)

// prefixes is a set of prefixes, for tables of millions of rules: 5 to 11 bytes for an IPv4 prefix.
type prefixes struct {
	v4 [33]keySet[uint32]     // by prefix length
	v6 [129]keySet[[2]uint64] // likewise
}

// add returns false if p, which is masked, is within a prefix of the set.
func (s *prefixes) add(p netip.Prefix) bool {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		k := binary.BigEndian.Uint32(b[:])
		for n := range p.Bits() + 1 {
			if s.v4[n].has(k &^ hostMask(n)) {
				return false
			}
		}
		s.v4[p.Bits()].add(k)
		return true
	}
	for n := range p.Bits() + 1 {
		if s.v6[n].used > 0 && s.v6[n].has(key6(p.Addr(), n)) {
			return false
		}
	}
	s.v6[p.Bits()].add(key6(p.Addr(), p.Bits()))
	return true
}

// key6 returns the first bits of an IPv6 address.
func key6(a netip.Addr, bits int) [2]uint64 {
	b := a.As16()
	return [2]uint64{
		binary.BigEndian.Uint64(b[:8]) & (^uint64(0) << max(0, 64-bits)),
		binary.BigEndian.Uint64(b[8:]) & (^uint64(0) << min(64, 128-bits)),
	}
}

// keySet is a hash set with linear probing. A map takes several times the memory.
type keySet[K uint32 | [2]uint64] struct {
	slots   []K // a power of two; a zero is free
	used    int
	hasZero bool
}

func (s *keySet[K]) has(k K) bool {
	var zero K
	if k == zero || len(s.slots) == 0 {
		return k == zero && s.hasZero
	}
	return s.slots[s.find(k)] == k
}

// find returns the slot of k, or the free one where it belongs.
func (s *keySet[K]) find(k K) int {
	var zero K
	mask := len(s.slots) - 1
	at := int(hashKey(k)) & mask
	for s.slots[at] != k && s.slots[at] != zero {
		at = (at + 1) & mask
	}
	return at
}

// add adds a key that is not in the set.
func (s *keySet[K]) add(k K) {
	var zero K
	if s.used++; k == zero {
		s.hasZero = true
		return
	}
	if 4*s.used >= 3*len(s.slots) {
		old := s.slots
		s.slots = make([]K, max(16, 2*len(old)))
		for _, o := range old {
			if o != zero {
				s.slots[s.find(o)] = o
			}
		}
	}
	s.slots[s.find(k)] = k
}

func hashKey[K uint32 | [2]uint64](k K) uint32 {
	const golden = 0x9e3779b97f4a7c15
	switch k := any(k).(type) {
	case uint32:
		return uint32(uint64(k) * golden >> 32)
	case [2]uint64:
		return uint32((k[0]*golden ^ k[1]) * golden >> 32)
	}
	return 0
}
