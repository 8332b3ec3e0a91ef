package export

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"go4.org/netipx"
)

// TestCountPrefixes compares with the prefixes that netipx makes of random ranges, most of them with a common start.
func TestCountPrefixes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(is4 bool, common int) netip.Addr {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], r.Uint64())
		binary.BigEndian.PutUint64(b[8:], r.Uint64())
		for i := range b {
			switch {
			case i < common:
				b[i] = 0
			case r.IntN(4) == 0: // the ends of networks
				b[i] = byte(r.IntN(2)) * 0xff
			}
		}
		if is4 {
			return netip.AddrFrom4([4]byte(b[12:]))
		}
		return netip.AddrFrom16(b)
	}
	ranges := []netipx.IPRange{netipx.RangeOfPrefix(families[0]), netipx.RangeOfPrefix(families[1])}
	for range 20000 {
		is4, common := r.IntN(2) == 0, r.IntN(17)
		ends := []netip.Addr{random(is4, common), random(is4, common)}
		slices.SortFunc(ends, netip.Addr.Compare)
		ranges = append(ranges, netipx.IPRangeFrom(ends[0], ends[1]), netipx.IPRangeFrom(ends[0], ends[0]))
	}
	for _, one := range ranges {
		if got, want := countPrefixes(one), len(one.Prefixes()); got != want {
			t.Fatalf("%v: %d prefixes, want %d", one, got, want)
		}
	}
}
