package feed

import "hash/maphash"

// set is a set of keys, of which a table has millions. It takes a key and half as much again, in less time than a map.
//
// It is some hash tables with linear probing, which grow by themselves and by little: one that doubles leaves half of itself behind.
type set[K comparable] struct {
	hash    func(K) uint64
	parts   []setPart[K]
	hasZero bool // of which a slot is free
}

type setPart[K comparable] struct {
	slots []K
	n     int // of the slots, those that are taken
}

const setParts = 1 << 6

func newSet[K comparable](hash func(K) uint64) *set[K] {
	return &set[K]{hash: hash, parts: make([]setPart[K], setParts)}
}

// newSet4 returns a set of IPv4 addresses.
func newSet4() *set[[4]byte] {
	seed := maphash.MakeSeed()
	return newSet(func(k [4]byte) uint64 { return maphash.Bytes(seed, k[:]) })
}

// newSet16 returns a set of IPv6 addresses.
func newSet16() *set[[16]byte] {
	seed := maphash.MakeSeed()
	return newSet(func(k [16]byte) uint64 { return maphash.Bytes(seed, k[:]) })
}

func (s *set[K]) has(k K) bool {
	var zero K
	if k == zero {
		return s.hasZero
	}
	h := s.hash(k)
	p := &s.parts[h%setParts]
	return len(p.slots) > 0 && p.slots[p.find(k, h)] == k
}

// add adds a key, and returns false if it was in the set.
func (s *set[K]) add(k K) bool {
	var zero K
	if k == zero {
		wasThere := s.hasZero
		s.hasZero = true
		return !wasThere
	}
	h := s.hash(k)
	p := &s.parts[h%setParts]
	if 4*p.n >= 3*len(p.slots) {
		p.grow(s.hash)
	}
	at := p.find(k, h)
	if p.slots[at] == k {
		return false
	}
	p.slots[at] = k
	p.n++
	return true
}

// find returns where a key with this hash is, or where it is to be.
func (p *setPart[K]) find(k K, hash uint64) int {
	var zero K
	at := int(hash >> 32 * uint64(len(p.slots)) >> 32)
	for p.slots[at] != zero && p.slots[at] != k {
		if at++; at == len(p.slots) {
			at = 0
		}
	}
	return at
}

func (p *setPart[K]) grow(hash func(K) uint64) {
	var zero K
	old := p.slots
	p.slots = make([]K, len(old)+max(8, len(old)/4))
	for _, k := range old {
		if k != zero {
			p.slots[p.find(k, hash(k))] = k
		}
	}
}

// keyHash is a hash of a key of a table, of so many bits that no two keys have the same. The keys themselves would take more
// memory than the list.
type keyHash [3]uint32

func hashKey(seeds keySeeds, key string) keyHash {
	first := maphash.String(seeds[0], key)
	return keyHash{uint32(first >> 32), uint32(first), uint32(maphash.String(seeds[1], key))}
}

// keySeeds are those of the two hashes in a keyHash.
type keySeeds [2]maphash.Seed

func newKeySeeds() keySeeds { return keySeeds{maphash.MakeSeed(), maphash.MakeSeed()} }

// newHashSet returns a set of hashes.
func newHashSet() *set[keyHash] {
	return newSet(func(h keyHash) uint64 { return uint64(h[0])<<32 | uint64(h[1]) })
}
