// Package filetest makes large lists for tests and benchmarks, the same ones
// each time.
package listtest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// Entry is one line of a list: a span, or a hole.
type Entry struct {
	Hole     bool
	From, To netip.Addr // both ends in it; equal for an address
	Bits     int        // length of the prefix; -1 for a range that is none
}

// String gives the entry as it stands in a list file.
func (e Entry) String() string {
	s := e.From.String()
	switch {
	case e.Bits < 0:
		s += "-" + e.To.String()
	case e.From != e.To:
		s += fmt.Sprintf("/%d", e.Bits)
	}
	if e.Hole {
		return "!" + s
	}
	return s
}

// Hosts makes n different IPv4 addresses in no order: two thirds of them in
// some /16s, as what is infected sits together, the others anywhere.
func Hosts(n int) []Entry {
	r := rand.New(rand.NewPCG(4, uint64(n)))
	seen := make(map[uint32]struct{}, n)
	out := make([]Entry, 0, n)
	for len(out) < n {
		a := address(r, n)
		if _, dup := seen[a]; !dup {
			seen[a] = struct{}{}
			out = append(out, hostEntry(a))
		}
	}
	return out
}

// Mixed makes n entries in no order: of a hundred some seventy addresses, the
// others prefixes, ranges, holes in wider entries, and IPv6 of all these.
func Mixed(n int) []Entry {
	r := rand.New(rand.NewPCG(46, uint64(n)))
	out := make([]Entry, 0, n)
	for len(out) < n {
		a := address(r, n)
		switch p := r.IntN(100); {
		case p < 10:
			out = append(out, mixed6(r))
		case p < 22:
			out = append(out, prefix4(a, 24, false))
		case p < 27:
			to := a + 1 + r.Uint32N(500)
			if to > a {
				out = append(out, Entry{From: addr4(a), To: addr4(to), Bits: -1})
			}
		case p < 30 && len(out) < n-1: // a network and a hole in it
			out = append(out, prefix4(a, 20+r.IntN(4), false), prefix4(a, 26+r.IntN(7), true))
		default:
			out = append(out, hostEntry(a))
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// address gives a unicast IPv4 address.
func address(r *rand.Rand, n int) uint32 {
	for {
		a := r.Uint32()
		if r.IntN(3) > 0 {
			// One of n/400 /16s, by a hash of its number.
			net := uint32(r.IntN(max(1, n/400))) * 2654435761
			a = net&0xffff0000 | a&0xffff
		}
		if top := a >> 24; top > 0 && top < 224 && top != 127 {
			return a
		}
	}
}

// mixed6 gives an IPv6 entry in space that is handed out.
func mixed6(r *rand.Rand) Entry {
	var b [16]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	regions := []uint16{0x2001, 0x2400, 0x2404, 0x2600, 0x2606, 0x2803, 0x2a00, 0x2a01, 0x2a02, 0x2a06, 0x2c0f}
	top := regions[r.IntN(len(regions))]
	b[0], b[1] = byte(top>>8), byte(top)
	bits := []int{128, 128, 64, 64, 64, 56, 48, 48, 32}[r.IntN(9)]
	p := netip.PrefixFrom(netip.AddrFrom16(b), bits).Masked()
	for i := bits; i < 128; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return Entry{From: p.Addr(), To: netip.AddrFrom16(b), Bits: bits}
}

func hostEntry(a uint32) Entry { return prefix4(a, 32, false) }

func prefix4(a uint32, bits int, hole bool) Entry {
	rest := uint32(1)<<(32-bits) - 1
	return Entry{Hole: hole, From: addr4(a &^ rest), To: addr4(a | rest), Bits: bits}
}

func addr4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}

// Text gives entries as the text of a list file.
func Text(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Questions gives n addresses to ask about, half of them in some entry (which
// may be a hole, or have one there), the others near entries or anywhere.
func Questions(entries []Entry, n int) []netip.Addr {
	r := rand.New(rand.NewPCG(99, uint64(n)))
	out := make([]netip.Addr, n)
	for i := range out {
		e := entries[r.IntN(len(entries))]
		switch {
		case i%2 == 0 && e.From.Is4():
			from, to := number(e.From), number(e.To)
			out[i] = addr4(from + uint32(r.Uint64N(uint64(to-from)+1)))
		case i%2 == 0:
			out[i] = e.From
			if e.Bits < 128 {
				out[i] = e.From.Next()
			}
		case e.From.Is4() && i%4 == 1:
			out[i] = addr4(number(e.To) + 1 + r.Uint32N(1<<12))
		case e.From.Is4():
			out[i] = addr4(r.Uint32())
		default:
			out[i] = mixed6(r).From
		}
	}
	return out
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
