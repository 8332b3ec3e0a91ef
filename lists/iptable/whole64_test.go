package iptable_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

// A list of which no entry divides a /64 decides as any, also at both ends of the address space, and its boundaries are where the
// answer may change.
func TestWhole64(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		half := func() uint64 { // the upper one of an address
			return []uint64{0, 0x20010db800000000, ^uint64(15)}[r.IntN(3)] + uint64(r.IntN(16))
		}
		address := func(hi, lo uint64) netip.Addr {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:8], hi)
			binary.BigEndian.PutUint64(b[8:], lo)
			return netip.AddrFrom16(b)
		}
		var text strings.Builder
		for range 1 + r.IntN(20) {
			if r.IntN(5) == 0 {
				text.WriteString("!")
			}
			switch hi := half(); {
			case r.IntN(5) == 0:
				fmt.Fprintf(&text, "%s-%s", address(hi, 0), address(hi|15, ^uint64(0)))
			case r.IntN(3) == 0:
				bits := 60 + r.IntN(5)
				fmt.Fprint(&text, netip.PrefixFrom(address(hi, 0), bits).Masked())
			default:
				fmt.Fprintf(&text, "%s/64", address(hi, 0))
			}
			if r.IntN(5) == 0 {
				text.WriteString(" until=" + epoch.Add(time.Duration(r.IntN(12))*time.Hour).Format(time.RFC3339))
			}
			text.WriteString("\n")
		}
		table, items := build(t, text.String(), listfile.Rules{AnyAction: true})
		bounds := make(map[netip.Addr]bool)
		for a := range table.Boundaries() {
			bounds[a] = true
		}
		for range 300 {
			hi, now := half(), epoch.Add(time.Duration(r.IntN(12))*time.Hour)
			clock := func() time.Time { return now }
			for _, lo := range []uint64{0, 1, ^uint64(0)} {
				compare(t, table, items, lists.Client{Addr: address(hi, lo)}, now)
			}
			at, before := address(hi, 0), address(hi-1, ^uint64(0))
			id, status := table.Lookup(lists.Client{Addr: at}, clock)
			if other, was := table.Lookup(lists.Client{Addr: before}, clock); hi > 0 && (other != id || was != status) && !bounds[at] {
				t.Fatalf("seed %d: the answer changes at %s\n%s", seed, at, text.String())
			}
		}
	}
}

// A network of 64 bits is one segment, and so is a single address.
func TestSingleSegments(t *testing.T) {
	for _, entry := range []string{"2001:db8:0:%x::/64\n", "2001:db8::%x\n"} {
		var text strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&text, entry, 2*i)
		}
		if table, _ := build(t, text.String(), listfile.Rules{}); table.Segments6() != 1000 {
			t.Errorf("%s: %d segments for 1000 entries", entry, table.Segments6())
		}
	}
}
