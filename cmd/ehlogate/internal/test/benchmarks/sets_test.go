package benchmarks

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// TestSets brings a set in the kernel's nftables in step with a list of which ten entries changed: by the difference, beside
// replacing the whole.
func TestSets(t *testing.T) {
	size := pick(100_000, 1_000)
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const table = "table inet bench {\n set s4 { type ipv4_addr; flags interval; }\n set s6 { type ipv6_addr; flags interval; }\n}\n"
	set := nft.Set{Family: "inet", Table: "bench", Name: "s"}
	do := func(fn func() error) {
		t.Helper()
		if err := n.Do(fn); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(7, 7))
	want := make([]netipx.IPRange, size) // every other address of a /14, at most
	for i := range want {
		a := netip.AddrFrom4([4]byte{10, byte(2 * i >> 16), byte(2 * i >> 8), byte(2 * i)})
		want[i] = netipx.IPRangeFrom(a, a)
	}
	all := append([]netipx.IPRange(nil), want...)
	edit := func() { // ten of them go, and those that went before are back
		want = append(want[:0], all...)
		for range 10 {
			i := r.IntN(len(want))
			want = append(want[:i], want[i+1:]...)
		}
	}
	do(func() error {
		if _, err := nft.Run(t.Context(), table+set.Replace(want), "-f", "-"); err != nil {
			return err
		}
		return nil
	})
	timed := func(fn func() error) func() float64 {
		return func() float64 {
			edit()
			begun := time.Now()
			do(fn)
			return time.Since(begun).Seconds()
		}
	}
	difference := timed(func() error {
		c, err := set.Difference(t.Context(), want)
		if err == nil && (c.Added+c.Removed == 0 || c.Added+c.Removed > 20) {
			err = fmt.Errorf("%d added, %d removed", c.Added, c.Removed)
		}
		if err != nil {
			return err
		}
		return c.Apply(t.Context())
	})
	whole := timed(func() error {
		_, err := nft.Run(t.Context(), set.Replace(want), "-f", "-")
		return err
	})
	look := func() float64 {
		do(func() error { // what the last round left
			_, err := nft.Run(t.Context(), set.Replace(want), "-f", "-")
			return err
		})
		begun := time.Now()
		do(func() error {
			c, err := set.Difference(t.Context(), want)
			if err == nil && c.Script != "" {
				err = fmt.Errorf("to do:\n%s", c.Script)
			}
			return err
		})
		return time.Since(begun).Seconds()
	}
	edit()
	group := fmt.Sprintf("sets of nftables, %d addresses", size)
	replaced := side{"the whole, replaced", whole}
	compare(t, group, "ten of them changed: time until the kernel has it", "s", 0, pick(5, 2), side{"by the difference", difference}, replaced)
	compare(t, group, "nothing changed: time until that is known", "s", 0, pick(5, 2), side{"by the difference", look}, replaced)
}
