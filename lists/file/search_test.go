package file

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

func TestUpTo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		words := make([]uint64, 1+r.IntN(70))
		spread := uint64(1) << r.IntN(8)
		for i := range words {
			words[i] = r.Uint64N(spread * 10)
		}
		slices.Sort(words)
		most := r.Uint64N(spread*11) + uint64(r.IntN(2)) - 1 // or the largest of all
		want := sort.Search(len(words), func(i int) bool { return words[i] > most })
		if got := upTo(words, most); got != want {
			t.Fatalf("upTo(%v, %d) = %d, want %d", words, most, got, want)
		}
		for guess := range words {
			if got := upToNear(words, most, guess); got != want {
				t.Fatalf("upToNear(%v, %d, %d) = %d, want %d", words, most, guess, got, want)
			}
		}
	}
}
