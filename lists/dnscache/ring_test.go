package dnscache

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// spread is a hash of n.
func spread(n int) uint64 { return uint64(n) * 0x9e3779b97f4a7c15 }

// A ring has what was put last, of two keys with the same hash only the last, and forgets no other while it has room.
func TestRing(t *testing.T) {
	for _, tc := range []struct{ most, keys int }{{1, 3}, {2, 2}, {7, 21}, {100, 300}, {100, 100}} {
		random := rand.New(rand.NewPCG(1, uint64(tc.keys)))
		r := newRing(tc.most)
		last := make(map[uint64]slot)
		for i := range int64(20_000) {
			n := random.IntN(tc.keys)
			k, hash := Key{upstream: uint32(n % 3), Addr: netip.AddrFrom4([4]byte{11, 0, byte(n >> 8), byte(n)})}, spread(n/2)
			kept := last[hash].key == k
			if e := r.get(&k, hash); e != nil && (!kept || *e != last[hash].entry) || e == nil && kept && tc.keys <= tc.most {
				t.Fatalf("%d of %d: %v is %v, expected %v", tc.most, tc.keys, k, e, last[hash])
			}
			last[hash] = slot{key: k, entry: entry{arrivedAt: i, answered: true}}
			r.put(k, hash, last[hash].entry)
			if got := r.peek(&k, hash); got != last[hash].entry || len(r.slots) > tc.most {
				t.Fatalf("%d of %d: %d entries, and %v is %v after it was put", tc.most, tc.keys, len(r.slots), k, got)
			}
			if random.IntN(500) == 0 {
				drop := func(k Key, _ *entry) bool { return k.upstream == uint32(i%3) }
				r.removeWhere(drop)
				maps.DeleteFunc(last, func(_ uint64, s slot) bool { return drop(s.key, nil) })
			}
		}
		r.removeWhere(func(Key, *entry) bool { return true })
		if len(r.slots) != 0 || len(r.index) != 0 {
			t.Errorf("%d entries and %d hashes are left of none", len(r.slots), len(r.index))
		}
	}
}

// What is used more often than others stays, however many others come that are used once.
func TestRingKeepsWhatIsUsed(t *testing.T) {
	const most, hot = 100, 10
	r := newRing(most)
	for n := range 100 * most {
		k, hash := Key{upstream: uint32(n)}, spread(n)
		r.put(k, hash, entry{})
		r.get(&k, hash)
		for n := range min(n, hot) {
			k, hash := Key{upstream: uint32(n)}, spread(n)
			if r.get(&k, hash) == nil {
				t.Fatalf("entry %d was evicted", n)
			}
		}
	}
}
