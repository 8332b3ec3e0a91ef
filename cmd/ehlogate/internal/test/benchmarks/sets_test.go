package benchmarks

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/nft"
	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// TestSets updates a set of nftables as "export --apply" does, after ten entries of a list changed and after none did. The
// floor is nft itself, which loads the same elements from a file.
func TestSets(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	size := pick(100_000, 1_000)
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	set := nft.Set{Family: "inet", Table: "bench", Name: "s"}
	file := filepath.Join(t.TempDir(), "set.nft")
	r := rand.New(rand.NewPCG(7, 7))
	all := make([]netipx.IPRange, size) // every other address of a /14, at most
	for i := range all {
		a := netip.AddrFrom4([4]byte{10, byte(2 * i >> 16), byte(2 * i >> 8), byte(2 * i)})
		all[i] = netipx.IPRangeFrom(a, a)
	}
	want := all
	edit := func() { // ten other addresses are missing than before
		want = slices.Clone(all)
		for range 10 {
			i := r.IntN(len(want))
			want = slices.Delete(want, i, i+1)
		}
		if err := os.WriteFile(file, []byte(set.Script(want)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() error {
		_, err := n.Run(t.Context(), "nft", "-f", file)
		return err
	}
	apply := func(wantChanges bool) func() error {
		return func() error {
			return n.Do(func() error {
				missing, surplus, err := set.Compare(t.Context(), want)
				changes := len(missing) + len(surplus)
				switch {
				case err != nil:
					return err
				case changes > 0 != wantChanges, changes > 20:
					return fmt.Errorf("%d missing, %d surplus", len(missing), len(surplus))
				case changes == 0:
					return nil
				}
				return set.Replace(t.Context(), want)
			})
		}
	}
	timed := func(prepare func() error, measured func() error) func() float64 {
		return func() float64 {
			t.Helper()
			if err := prepare(); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if err := measured(); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun).Seconds()
		}
	}
	changed := func() error { edit(); return nil }

	if _, err := n.Pipe(t.Context(), "table inet bench {\n set s4 { type ipv4_addr; flags interval; }\n set s6 { type ipv6_addr; flags interval; }\n}\n", "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	edit()
	if err := load(); err != nil {
		t.Fatal(err)
	}
	group := fmt.Sprintf("sets of nftables, %d addresses", size)
	floor := side{"nft -f of the same elements", timed(changed, load)}
	compare(t, group, "ten of them changed: time until the kernel has it", "s", 0, pick(5, 2), side{"export --apply", timed(changed, apply(true))}, floor)
	compare(t, group, "nothing changed: time until that is known", "s", 0, pick(5, 2), side{"export --apply", timed(load, apply(false))}, floor)
}
