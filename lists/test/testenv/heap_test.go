package testenv

import (
	"slices"
	"testing"
)

// Garbage does not count, and what is in use counts while it is.
func TestMeasureHeap(t *testing.T) {
	const piece = 32 << 10
	most, kept := MeasureHeap(func() any {
		var used [][]byte
		for range 600 {
			used = append(used, make([]byte, piece))
			_ = slices.Repeat([]byte{1}, piece)
		}
		return slices.Clone(used[:100])
	})
	isAbout := func(n, want uint64) bool { return n > want*4/5 && n < want*5/4 }
	if !isAbout(most, 600*piece) || !isAbout(kept, 100*piece) {
		t.Errorf("got %d bytes at most, and %d kept; want about %d and %d", most, kept, 600*piece, 100*piece)
	}
}
