package feed

import "hash/maphash"

// keyHash is a hash of a key of a table, of so many bits that no two keys have the same. The keys themselves would take ten
// times as much memory as the list.
type keyHash [2]uint64

func hashKey(seed maphash.Seed, key string) keyHash {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteString(key)
	first := h.Sum64()
	h.WriteByte(0)
	return keyHash{first, h.Sum64()}
}
