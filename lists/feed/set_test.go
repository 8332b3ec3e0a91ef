package feed

import (
	"encoding/binary"
	"testing"
)

// A set has each key that was added, and no other, while it grows.
func TestSet(t *testing.T) {
	s := newSet4()
	key := func(i int) (k [4]byte) {
		binary.LittleEndian.PutUint32(k[:], uint32(i))
		return k
	}
	for i := range 100_000 {
		if s.has(key(i)) || !s.add(key(i)) {
			t.Fatalf("%d was not added before", i)
		}
		if j := i * 7919 % (i + 1); !s.has(key(j)) || s.add(key(j)) {
			t.Fatalf("%d of %d was added before", j, i)
		}
	}
}
