package feed

import (
	"fmt"
	"testing"
)

// A set has each key that was added, and no other, while it grows.
func TestKeySet(t *testing.T) {
	s := newKeySet()
	for i := range 100_000 {
		if !s.add(fmt.Sprint(i)) {
			t.Fatalf("%d was not added before", i)
		}
		if j := i * 7919 % (i + 1); s.add(fmt.Sprint(j)) {
			t.Fatalf("%d of %d was added before", j, i)
		}
	}
}
