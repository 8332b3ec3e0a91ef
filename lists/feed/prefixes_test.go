package feed

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/testenv"
)

// The set says the same as one that compares with all prefixes before.
func TestPrefixes(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s prefixes
		var all []netip.Prefix
		for range 200 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(r.IntN(3)), byte(r.IntN(3)), byte(r.IntN(256)), 0}), r.IntN(33)).Masked()
			if r.IntN(2) == 0 {
				var b [16]byte
				b[0], b[7], b[8], b[15] = byte(r.IntN(2)), byte(r.IntN(3)), byte(r.IntN(3)), byte(r.IntN(3))
				p = netip.PrefixFrom(netip.AddrFrom16(b), r.IntN(129)).Masked()
			}
			want := true
			for _, o := range all {
				if o.Bits() <= p.Bits() && o.Contains(p.Addr()) {
					want = false
				}
			}
			if got := s.add(p); got != want {
				t.Fatalf("seed %d: %s after %v: %v", seed, p, all, got)
			}
			all = append(all, p)
		}
	}
}

// memoryOfTable returns the size of a cidr table of n rules, and how much of it the heap takes at most while it is read.
func memoryOfTable(t testing.TB, n int, format listfile.Grammar, suffix string) (size int64, most uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.cidr")
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	for range n {
		b.WriteString(netip.AddrFrom4([4]byte{byte(1 + r.IntN(223)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}).String() + suffix)
	}
	must(t, os.WriteFile(path, []byte(b.String()), 0o644))
	size = int64(b.Len())
	b.Reset()
	most, _ = testenv.MeasureHeap(func() any {
		l, err := listfile.New(listfile.Spec{Patterns: []string{path}, Rules: listfile.Rules{Action: lists.Suppress}, Format: format}, time.Now).Load()
		must(t, err)
		return l
	})
	return size, most
}

// Reading a table or plain addresses takes at most twice the file more than to read a list of these addresses.
func TestMemoryOfFeeds(t *testing.T) {
	const n = 200_000
	_, plain := memoryOfTable(t, n, nil, "\n")
	for _, tc := range []struct {
		format Format
		suffix string
	}{{PostfixCIDR, " REJECT\n"}, {PostfixAccess, " REJECT\n"}, {SendmailAccess, "\tREJECT\n"}, {Addresses, "\n"}} {
		size, most := memoryOfTable(t, n, tc.format, tc.suffix)
		ratio := (float64(most) - float64(plain)) / float64(size)
		t.Logf("%s: file %.1f MiB, heap %.1f MiB, of plain addresses %.1f MiB: %.2f times the file more", tc.format, float64(size)/(1<<20), float64(most)/(1<<20), float64(plain)/(1<<20), ratio)
		if ratio > 2 {
			t.Errorf("%s takes %.2f times its file more than plain addresses", tc.format, ratio)
		}
	}
}
