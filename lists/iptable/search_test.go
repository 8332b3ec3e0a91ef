package iptable

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

func TestCountUpTo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		words := make([]uint64, 1+r.IntN([]int{70, 600}[r.IntN(2)]))
		spread := uint64(1) << r.IntN(8)
		for i := range words {
			words[i] = r.Uint64N(spread * 10)
		}
		slices.Sort(words)
		limit := r.Uint64N(spread*11) + uint64(r.IntN(2)) - 1 // or the largest of all
		want := sort.Search(len(words), func(i int) bool { return words[i] > limit })
		if got := countUpTo(words, limit); got != want {
			t.Fatalf("upTo(%v, %d) = %d, want %d", words, limit, got, want)
		}
		if tree := newSearchTree(words); tree.countUpTo(limit) != want {
			t.Fatalf("in a tree of %v: %d up to %d, want %d", words, tree.countUpTo(limit), limit, want)
		}
		for guess := range words[:min(len(words), 70)] {
			if got := countUpToNear(words, limit, guess); got != want {
				t.Fatalf("upToNear(%v, %d, %d) = %d, want %d", words, limit, guess, got, want)
			}
		}
	}
}
