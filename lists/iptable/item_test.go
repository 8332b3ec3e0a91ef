package iptable

import (
	"math/rand/v2"
	"testing"

	"go4.org/netipx"
)

func TestPrefixOfItem(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		from := key6{r.Uint64() &^ (1<<r.IntN(65) - 1), r.Uint64() &^ (1<<r.IntN(65) - 1)}
		to := from.lastOf(r.IntN(129))
		if r.IntN(4) == 0 {
			to.lo ^= 1 << r.IntN(64)
		}
		if to.less(from) {
			continue
		}
		it := Item{From: from.toAddr(), To: to.toAddr()}
		want, isPrefix := netipx.IPRangeFrom(it.From, it.To).Prefix()
		if got, ok := it.prefix(); ok != isPrefix || ok && got != want {
			t.Fatalf("%v-%v: got %v, %v, want %v, %v", it.From, it.To, got, ok, want, isPrefix)
		}
	}
}
