package nft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go4.org/netipx"

	"ehlogate/cmd/ehlogate/internal/test/netns"
)

// kernel is a network with the rules, of which nothing is seen outside. The function runs what it is given there.
func kernel(t *testing.T, rules string) func(func(context.Context) error) error {
	t.Helper()
	n, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	do := func(fn func(context.Context) error) error { return n.Do(func() error { return fn(t.Context()) }) }
	if err := do(func(ctx context.Context) error { _, err := Run(ctx, rules, "-f", "-"); return err }); err != nil {
		t.Fatal(err)
	}
	return do
}

const sets = `table inet ehlogate {
	set trusted4 { type ipv4_addr; flags interval; }
	set trusted6 { type ipv6_addr; flags interval; }
	set single4 { type ipv4_addr; }
	set single6 { type ipv6_addr; }
}
`

var trusted = Set{"inet", "ehlogate", "trusted"}

// random gives ranges in order that do not touch, with the ends of both families among them now and then.
func random(r *rand.Rand) []netipx.IPRange {
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

// Whatever the sets held, they hold what they should after the difference was applied, and nothing is left to do.
func TestDifference(t *testing.T) {
	do := kernel(t, sets)
	for seed := range uint64(40) {
		want := random(rand.New(rand.NewPCG(seed, 1)))
		err := do(func(ctx context.Context) error {
			c, err := trusted.Difference(ctx, want)
			if err != nil {
				return err
			}
			if seed%5 == 4 { // as a whole, as a file that is included does it
				_, err = Run(ctx, trusted.Replace(want), "-f", "-")
			} else if err = c.Apply(ctx); err == nil && c.Held-c.Removed+c.Added != len(want) {
				err = fmt.Errorf("%d held, %d removed, %d added: not %d", c.Held, c.Removed, c.Added, len(want))
			}
			if err != nil {
				return fmt.Errorf("%w\n%s", err, c.Script)
			}
			if c, err = trusted.Difference(ctx, want); err == nil && c.Script != "" {
				err = fmt.Errorf("not done:\n%s", c.Script)
			}
			if err != nil {
				return err
			}
			// The kernel itself is asked, too, on both sides of each border.
			for _, r := range want[:min(len(want), 8)] {
				for addr, in := range map[netip.Addr]bool{r.From(): true, r.To(): true, r.From().Prev(): false, r.To().Next(): false} {
					name := "trusted6"
					if r.From().Is4() {
						name = "trusted4"
					}
					if !addr.IsValid() {
						continue
					}
					_, err := Run(ctx, "", "get", "element", "inet", "ehlogate", name, "{", addr.String(), "}")
					if (err == nil) != in {
						return fmt.Errorf("%s in %s: want %v, %v", addr, name, in, err)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatalf("seed %d, %v: %v", seed, want, err)
		}
	}
}

// Elements that stay are not touched: one that somebody annotated keeps its comment.
func TestDifferenceLeavesAlone(t *testing.T) {
	do := kernel(t, sets+"add element inet ehlogate trusted4 { 192.0.2.0/24 comment \"by hand\", 198.51.100.1, 203.0.113.5-203.0.113.9 }\n")
	want := []netipx.IPRange{netipx.MustParseIPRange("192.0.2.0-192.0.2.255"), netipx.MustParseIPRange("203.0.113.5-203.0.113.10")}
	err := do(func(ctx context.Context) error {
		c, err := trusted.Difference(ctx, want)
		if err != nil {
			return err
		}
		if c.Held != 3 || c.Removed != 2 || c.Added != 1 || strings.Contains(c.Script, "192.0.2.") {
			t.Errorf("%+v", c)
		}
		if err := c.Apply(ctx); err != nil {
			return err
		}
		out, err := Run(ctx, "", "list", "set", "inet", "ehlogate", "trusted4")
		if !strings.Contains(string(out), `192.0.2.0/24 comment "by hand"`) {
			t.Errorf("%s", out)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What cannot be done says what to do, and changes nothing.
func TestRefusals(t *testing.T) {
	do := kernel(t, sets)
	for set, want := range map[Set]string{
		{"inet", "ehlogate", "absent"}: "load the rules that have it first",
		{"inet", "absent", "trusted"}:  "load the rules that have it first",
		{"inet", "ehlogate", "single"}: `set inet ehlogate single4: it cannot hold ranges of addresses: declare it with "type ipv4_addr; flags interval;"`,
	} {
		err := do(func(ctx context.Context) error { _, err := set.Difference(ctx, nil); return err })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", set, err, want)
		}
	}
	// One element that cannot be removed keeps the others from being added.
	err := do(func(ctx context.Context) error {
		return Change{Set: trusted, Script: "add element inet ehlogate trusted4 { 192.0.2.1 }\ndelete element inet ehlogate trusted4 { 192.0.2.2 }\n"}.Apply(ctx)
	})
	var refused *Error
	if !errors.As(err, &refused) {
		t.Errorf("%v", err)
	}
	err = do(func(ctx context.Context) error {
		c, err := trusted.Difference(ctx, nil)
		if c.Held != 0 {
			t.Errorf("%d elements are held", c.Held)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
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
		ranges, err := parseSet(text, "t", "ipv4_addr")
		if err != nil {
			return
		}
		if slices.ContainsFunc(ranges, func(r netipx.IPRange) bool { return !r.IsValid() }) {
			t.Errorf("%v", ranges)
		}
	})
}
