package nft

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// newKernel makes a network namespace with these rules and returns a function that runs another one in it.
func newKernel(t *testing.T, rules string) func(func(context.Context) error) {
	t.Helper()
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	within := func(fn func(context.Context) error) {
		t.Helper()
		if err := n.Do(func() error { return fn(t.Context()) }); err != nil {
			t.Fatal(err)
		}
	}
	within(func(ctx context.Context) error { _, err := runNFT(ctx, rules, "-f", "-"); return err })
	return within
}

const sets = `table inet ehlogate {
	set trusted4 { type ipv4_addr; flags interval; }
	set trusted6 { type ipv6_addr; flags interval; }
	set single4 { type ipv4_addr; }
	set single6 { type ipv6_addr; }
}
`

var trusted = Set{"inet", "ehlogate", "trusted"}

// randomRanges returns ranges in order that do not touch. Some of them hold the first or last address of a family.
func randomRanges(r *rand.Rand) []netipx.IPRange {
	var b netipx.IPSetBuilder
	for range r.IntN(40) {
		addr := netip.AddrFrom4([4]byte{byte(255 * r.IntN(2)), 0, 2, byte(r.IntN(256))})
		if r.IntN(2) == 0 {
			addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(r.IntN(2)), 15: byte(r.IntN(256))})
		}
		switch r.IntN(8) {
		case 0:
			b.AddPrefix(netip.PrefixFrom(addr, addr.BitLen()-r.IntN(12)).Masked())
		case 1:
			if to := addr.Next().Next().Next(); to.IsValid() {
				b.AddRange(netipx.IPRangeFrom(addr, to))
			}
		case 2:
			b.RemovePrefix(netip.PrefixFrom(addr, addr.BitLen()-r.IntN(3)).Masked())
		case 3:
			if r.IntN(4) == 0 {
				b.AddPrefix(netip.PrefixFrom(addr, r.IntN(3)).Masked())
			}
		default:
			b.Add(addr)
		}
	}
	s, err := b.IPSet()
	if err != nil {
		panic(err)
	}
	return s.Ranges()
}

// Whatever the sets held before, they hold the new ranges afterwards, and Compare finds nothing left to do.
func TestReplace(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	within := newKernel(t, sets)
	var before []netipx.IPRange
	for seed := range uint64(40) {
		want := randomRanges(rand.New(rand.NewPCG(seed, 1)))
		within(func(ctx context.Context) error {
			missing, surplus, err := trusted.Compare(ctx, want)
			if err != nil {
				return err
			}
			if len(before)-len(surplus)+len(missing) != len(want) {
				t.Errorf("seed %d: %d elements, %d missing, %d surplus; want %d", seed, len(before), len(missing), len(surplus), len(want))
			}
			if err := trusted.Replace(ctx, want); err != nil {
				return fmt.Errorf("seed %d: %w\n%s", seed, err, trusted.Script(want))
			}
			if missing, surplus, err = trusted.Compare(ctx, want); err != nil || len(missing)+len(surplus) > 0 {
				t.Errorf("seed %d: missing %v, surplus %v, %v", seed, missing, surplus, err)
			}
			before = want
			return checkBorders(ctx, want)
		})
	}
}

// checkBorders asks the kernel itself about the addresses on both sides of each border.
func checkBorders(ctx context.Context, ranges []netipx.IPRange) error {
	for _, r := range ranges[:min(len(ranges), 8)] {
		name := "trusted6"
		if r.From().Is4() {
			name = "trusted4"
		}
		for addr, want := range map[netip.Addr]bool{r.From(): true, r.To(): true, r.From().Prev(): false, r.To().Next(): false} {
			if !addr.IsValid() {
				continue
			}
			if _, err := runNFT(ctx, "", "get", "element", "inet", "ehlogate", name, "{", addr.String(), "}"); (err == nil) != want {
				return fmt.Errorf("%s in %s: got %v, want %v: %v", addr, name, err == nil, want, err)
			}
		}
	}
	return nil
}

// An element with a comment is compared like any other, so a set with comments that differs in nothing is left alone.
func TestCompareComments(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	within := newKernel(t, sets+"add element inet ehlogate trusted4 { 192.0.2.0/24 comment \"by hand\", 198.51.100.1, 203.0.113.5-203.0.113.9 }\n")
	for text, want := range map[string][2]string{
		"192.0.2.0-192.0.2.255 198.51.100.1-198.51.100.1 203.0.113.5-203.0.113.9": {},
		"192.0.2.0-192.0.2.255 203.0.113.5-203.0.113.10":                          {"203.0.113.5-203.0.113.10 ", "198.51.100.1 203.0.113.5-203.0.113.9 "},
	} {
		var ranges []netipx.IPRange
		for _, r := range strings.Fields(text) {
			ranges = append(ranges, netipx.MustParseIPRange(r))
		}
		within(func(ctx context.Context) error {
			missing, surplus, err := trusted.Compare(ctx, ranges)
			if got := [2]string{formatRanges(missing), formatRanges(surplus)}; got != want {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
			return err
		})
	}
}

func formatRanges(ranges []netipx.IPRange) (text string) {
	for _, r := range ranges {
		text += FormatRange(r) + " "
	}
	return text
}

// A refusal says what to do, and leaves the sets as they were.
func TestRefusals(t *testing.T) {
	testenv.Needs(t, "root", "nft")
	within := newKernel(t, sets+"add element inet ehlogate trusted4 { 192.0.2.1 }\n")
	for set, want := range map[Set]string{
		{"inet", "ehlogate", "absent"}: "load the rules that have it first",
		{"inet", "absent", "trusted"}:  "load the rules that have it first",
		{"inet", "ehlogate", "single"}: `set inet ehlogate single4: it cannot contain ranges of addresses: declare it with "type ipv4_addr; flags interval;"`,
	} {
		within(func(ctx context.Context) error {
			if _, _, err := set.Compare(ctx, nil); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", set, err, want)
			}
			return nil
		})
	}
	// An overlap in the last of several commands: the elements before it are not added, nor are the old ones gone.
	var ranges []netipx.IPRange
	for addr := netip.MustParseAddr("10.0.0.0"); len(ranges) < 2*perCommand; addr = addr.Next().Next() {
		ranges = append(ranges, netipx.IPRangeFrom(addr, addr))
	}
	ranges = append(ranges, netipx.MustParseIPRange("10.0.0.0-10.0.0.255"))
	within(func(ctx context.Context) error {
		if err := trusted.Replace(ctx, ranges); err == nil {
			t.Error("overlapping ranges are taken")
		}
		missing, surplus, err := trusted.Compare(ctx, nil)
		if got := formatRanges(surplus); len(missing) > 0 || got != "192.0.2.1 " {
			t.Errorf("the sets hold %q", got)
		}
		return err
	})
}

func TestParseSetName(t *testing.T) {
	for text, good := range map[string]bool{
		"inet ehlogate trusted": true, "ip filter ok_1": true, "inet ehlogate": false, "inet e hlogate trusted": false,
		"inet ehlogate ;flush": false, "inet {ehlogate trusted": false, "arp t s": false, "": false, "inet 1t s": false,
	} {
		if s, err := ParseSet(text); (err == nil) != good || good && s.String() != text {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

func FuzzParseElements(f *testing.F) {
	f.Add([]byte(`{"nftables": [{"metainfo": {}}, {"set": {"name": "t", "type": "ipv4_addr", "flags": ["interval"], "elem": ["192.0.2.1", {"prefix": {"addr": "192.0.2.8", "len": 29}}, {"range": ["192.0.2.20", "192.0.2.30"]}, {"elem": {"val": "192.0.2.40", "comment": "x"}}]}}]}`))
	f.Add([]byte(`{"nftables": [{"set": {"name": "t", "type": ["ipv4_addr", "mark"], "flags": ["interval"]}}]}`))
	f.Add([]byte(`{"nftables": [{"set": {"name": "t", "type": "ipv4_addr", "flags": ["interval"], "elem": [{"prefix": {"addr": "192.0.2.8", "len": 99}}, {"elem": {"val": {"elem": {"val": "::"}}}}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		ranges, err := parseElements(text, "t", "ipv4_addr")
		if err != nil {
			return
		}
		if slices.ContainsFunc(ranges, func(r netipx.IPRange) bool { return !r.IsValid() }) {
			t.Errorf("%v", ranges)
		}
	})
}
