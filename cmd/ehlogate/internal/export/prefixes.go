package export

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"go4.org/netipx"
)

// uint128 is an address as a number.
type uint128 struct{ high, low uint64 }

func numberOf(a netip.Addr) uint128 {
	b := a.As16()
	return uint128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a uint128) onesCount() int { return bits.OnesCount64(a.high) + bits.OnesCount64(a.low) }

// countPrefixes returns how many prefixes a range is made of. Below the highest bit in which its ends differ, it has two parts:
// from the first address to the middle, and from there to the last. Each is made of one prefix for each bit of its length.
func countPrefixes(r netipx.IPRange) int {
	from, to := numberOf(r.From()), numberOf(r.To())
	differ := uint128{from.high ^ to.high, from.low ^ to.low}
	// All bits up to the highest one that differs.
	mask := uint128{low: ^uint64(0)}
	if differ.high != 0 {
		mask.high = ^uint64(0) >> bits.LeadingZeros64(differ.high)
	} else {
		mask.low >>= bits.LeadingZeros64(differ.low) // 64 if it is one address
	}
	first := uint128{from.high & mask.high, from.low & mask.low}
	last := uint128{to.high & mask.high, to.low & mask.low}
	if first == (uint128{}) && last == mask {
		return 1
	}
	// The lengths are half-first and last-half+1, where half is the highest bit of mask: without it, the complement of the first
	// plus 1, and the last plus 1.
	half := uint128{mask.high ^ mask.high>>1, mask.low ^ (mask.low>>1 | mask.high<<63)}
	low := uint128{mask.high &^ half.high, mask.low &^ half.low}
	return uint128{^first.high & low.high, ^first.low & low.low}.plusOne().onesCount() + uint128{last.high & low.high, last.low & low.low}.plusOne().onesCount()
}

func (a uint128) plusOne() uint128 {
	low, carry := bits.Add64(a.low, 1, 0)
	return uint128{a.high + carry, low}
}
