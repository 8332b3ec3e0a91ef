package listtest

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"ehlogate/lists/prefixset"
)

// CheckBoundaries fails the test if a set does not have what has returns true for, or a border is left out of its
// Boundaries.
func CheckBoundaries(t *testing.T, set *prefixset.Set, has func(netip.Addr) bool) {
	t.Helper()
	starts := append(slices.Collect(set.Boundaries()), netip.IPv4Unspecified(), netip.IPv6Unspecified())
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	r := rand.New(rand.NewPCG(1, 1))
	for range 100000 {
		a := netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
		if r.IntN(2) == 0 {
			b := a.As16()
			b[0], b[1], b[2], b[3] = byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())
			a = netip.AddrFrom16(b)
		}
		if r.IntN(2) == 0 {
			a = starts[r.IntN(len(starts))]
			if near := []netip.Addr{a.Prev(), a, a.Next()}[r.IntN(3)]; near.IsValid() {
				a = near
			}
		}
		i, exact := slices.BinarySearchFunc(starts, a, netip.Addr.Compare)
		if !exact {
			i--
		}
		if has(a) != set.Contains(a) || set.Contains(a) != set.Contains(starts[i]) {
			t.Fatalf("%s: got %v, want %v; at the border %s %v", a, set.Contains(a), has(a), starts[i], set.Contains(starts[i]))
		}
	}
}
