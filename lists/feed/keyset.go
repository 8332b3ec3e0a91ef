package feed

import "hash/maphash"

// keySet is a set of keys of a table, by hashes of so many bits that no two keys have the same. A key takes 12 bytes and some
// room: the keys themselves, or a map, would take more memory than the list.
//
// It is many small hash tables, which grow by themselves: one that doubles leaves half of a large list behind.
type keySet struct {
	seed  maphash.Seed
	parts []keyPart
}

// keyPart is a hash table with linear probing.
type keyPart struct {
	slots []keySlot
	n     int // of the slots, those that are taken
}

// keySlot has the bits of a hash that do not choose the part. All of them 0: it is free.
type keySlot [3]uint32

const keyParts = 1 << 10

func newKeySet() keySet { return keySet{seed: maphash.MakeSeed(), parts: make([]keyPart, keyParts)} }

// add adds a key, and returns false if it was in the set.
func (s *keySet) add(key string) bool {
	h := hashKey(s.seed, key)
	p := &s.parts[h[1]>>32%keyParts]
	if 8*p.n >= 7*len(p.slots) {
		p.grow()
	}
	slot := keySlot{uint32(h[0]>>32) | 1, uint32(h[0]), uint32(h[1])}
	at := p.find(slot)
	if p.slots[at] == slot {
		return false
	}
	p.slots[at] = slot
	p.n++
	return true
}

// find returns where a slot is, or where it is to be.
func (p *keyPart) find(slot keySlot) int {
	at := int(uint64(slot[1]) * uint64(len(p.slots)) >> 32)
	for p.slots[at] != slot && p.slots[at] != (keySlot{}) {
		if at++; at == len(p.slots) {
			at = 0
		}
	}
	return at
}

func (p *keyPart) grow() {
	old := p.slots
	p.slots = make([]keySlot, len(old)+max(8, len(old)/4))
	for _, slot := range old {
		if slot != (keySlot{}) {
			p.slots[p.find(slot)] = slot
		}
	}
}
