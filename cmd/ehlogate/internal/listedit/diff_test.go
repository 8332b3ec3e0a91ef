package listedit

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestDiff checks that the hunks make one text of another, and are as few as the lines that were changed.
func TestDiff(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 23))
		before := make([]string, r.IntN(30))
		for i := range before {
			before[i] = string(rune('a' + r.IntN(6)))
		}
		after, edits := slices.Clone(before), r.IntN(6)
		for range edits {
			if at := r.IntN(len(after) + 1); at < len(after) && r.IntN(2) == 0 {
				after = slices.Delete(after, at, at+1)
			} else {
				after = slices.Insert(after, at, string(rune('a'+r.IntN(6))))
			}
		}
		hunks := diff(before, after)
		got := slices.Clone(before)
		for _, h := range slices.Backward(hunks) {
			if !slices.Equal(got[h.Line-1:h.Line-1+len(h.Before)], h.Before) {
				t.Fatalf("seed %d: %+v does not fit %q", seed, h, before)
			}
			got = slices.Replace(got, h.Line-1, h.Line-1+len(h.Before), h.After...)
		}
		if cut, added := countLines(hunks); !slices.Equal(got, after) || cut+added > edits {
			t.Fatalf("seed %d: %q became %q and not %q, by %+v for %d edits", seed, before, got, after, hunks, edits)
		}
	}
	long := make([]string, 3*maxDiff)
	for i := range long {
		long[i] = string(rune('a' + i))
	}
	if hunks := diff(long, slices.Concat(long[:1], long[maxDiff+500:])); len(hunks) != 1 {
		t.Errorf("%d hunks", len(hunks))
	}
	reversed := slices.Clone(long)
	slices.Reverse(reversed)
	if hunks := diff(long, reversed); len(hunks) != 1 || len(hunks[0].Before) != len(long) {
		t.Errorf("%d hunks of texts that differ in all", len(hunks))
	}
}
