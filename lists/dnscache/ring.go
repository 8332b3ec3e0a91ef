package dnscache

// ring has a bounded number of entries. A hand goes round over them to find one to evict, and passes each as often as it was
// used, up to mostUses times (the clock algorithm). So a lookup only counts in its own entry. To keep a list in order of use
// it has to write to three others, too, none of which is in a cache of the processor.
type ring struct {
	most  int
	index map[uint64]int32 // into slots, by hash; without pointers and long keys it is small
	slots []slot
	hand  int
}

type slot struct {
	hash  uint64
	key   Key
	entry entry
	uses  uint8 // so often the hand passes by
}

// mostUses is more than one, since one lookup counts twice if it has to wait for the answer.
const mostUses = 3

func newRing(most int) ring { return ring{most: most, index: make(map[uint64]int32)} }

// get returns the entry of k, nil if there is none, and counts that as a use. It is valid until the next change.
func (r *ring) get(k *Key, hash uint64) *entry {
	i, ok := r.index[hash]
	if !ok || r.slots[i].key != *k {
		return nil
	}
	s := &r.slots[i]
	if s.uses < mostUses {
		s.uses++
	}
	return &s.entry
}

// peek returns the entry of k, the zero one if there is none, and counts no use.
func (r *ring) peek(k *Key, hash uint64) entry {
	if i, ok := r.index[hash]; ok && r.slots[i].key == *k {
		return r.slots[i].entry
	}
	return entry{}
}

// put adds or replaces an entry. Of two keys with the same hash only the last is kept.
func (r *ring) put(k Key, hash uint64, e entry) {
	i, ok := r.index[hash]
	switch {
	case ok:
	case len(r.slots) < r.most:
		i = int32(len(r.slots))
		r.slots = append(r.slots, slot{})
	default:
		i = r.evict()
	}
	r.index[hash] = i
	r.slots[i] = slot{hash: hash, key: k, entry: e}
}

// evict makes room in a full ring, and returns where.
func (r *ring) evict() int32 {
	for {
		at := r.hand
		if r.hand++; r.hand == len(r.slots) {
			r.hand = 0
		}
		s := &r.slots[at]
		if s.uses == 0 {
			delete(r.index, s.hash)
			return int32(at)
		}
		s.uses--
	}
}

// removeWhere removes the entries for which drop returns true. The last one takes the place of each.
func (r *ring) removeWhere(drop func(Key, *entry) bool) {
	for i := 0; i < len(r.slots); {
		if s := &r.slots[i]; !drop(s.key, &s.entry) {
			i++
			continue
		}
		delete(r.index, r.slots[i].hash)
		last := len(r.slots) - 1
		if i < last {
			r.slots[i] = r.slots[last]
			r.index[r.slots[i].hash] = int32(i)
		}
		r.slots[last] = slot{}
		r.slots = r.slots[:last]
	}
}
