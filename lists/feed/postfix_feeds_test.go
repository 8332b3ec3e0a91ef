package feed

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"ehlogate/lists"
	"ehlogate/lists/test/testenv"
)

// Lines of a generated cidr table that Postfix skips are skipped, and no others; one line that matches all clients, or is a
// typing mistake near to it, is to Postfix what it is here.
func TestBadRulesAgainstPostfix(t *testing.T) {
	testenv.Needs(t, "Postfix")
	probes := map[string]bool{"198.18.5.5": true, "192.0.2.5": true, "192.0.2.77": true, "10.1.1.1": true, "2001:db8::5": true, "fe80::1": true, "203.0.113.1": true}
	for _, line := range []string{"0.0.0.0/0 x", "::/0 x", "0/0 x", "0.0.0.0/00 x", "0.0.0.0 x", "192.0.2.5/0 x", "0.0.0.0/33 x", "192.0.2.0/-1 x", "192.0.2.0/+24 x", "192.0.2.0/024 x", "192.0.2.0/ x",
		"::ffff:0:0/96 x", "::ffff:192.0.2.0/120 x", "::ffff:0:0/95 x", "::/96 x", "::ffff:192.0.2.5 x", "0.0.0.0/0.0.0.0 x", "192.0.2.0/255.255.255.0 x", "192.0.2.0-192.0.2.255 x", "* x", "192.0.2 x", "192.0.2.05 x",
		"192.0.2.5/24 x", "2001:db8::5/32 x", "2001:db8::/32 x", "2001:db8::5%eth0 x", "[192.0.2.5] x", "[192.0.2.5 x", "192.0.2.5] x", "[192.0.2.0]/24 x", "[192.0.2.0/24] x", "[192.0.2.5]y x", "192.0.2.0/24/8 x",
		"192.0.2.5", "192.0.2.5\n  # no comment", "192.0.2.5,192.0.2.77 x", "example.org x", "192.0.2.5 M\xfcller", "# M\xfcller\n192.0.2.5 x", " 192.0.2.5 x", "192.0.2.5:25 x", "192.0.2.5; x"} {
		for before := range 2 {
			text := "203.0.113.1 y\n"
			if text += line + "\n203.0.113.2 y\n"; before == 1 {
				text = line + "\n203.0.113.1 y\n203.0.113.2 y\n"
			}
			list, err := loadFeed(t, PostfixCIDR, lists.Suppress, text)
			must(t, err)
			if strings.Contains(line, "M\xfcller") && strings.HasPrefix(line, "192") {
				continue // Postfix answers with an error about such a rule
			}
			found := queryPostfix(t, "cidr:"+writeOld(t, "table", text), probes)
			for probe := range probes {
				if got, want := isMatch(list, lists.Client{Addr: netip.MustParseAddr(probe)}), found[probe] != ""; got != want {
					t.Errorf("%s: matched %v, Postfix %q\n%s", probe, got, found[probe], text)
				}
			}
		}
	}
}

// Random cidr tables with bad rules: in a feed they are what they are to Postfix.
func TestSkippedRulesAgainstPostfix(t *testing.T) {
	testenv.Needs(t, "Postfix")
	skipped := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 5))
		var b strings.Builder
		for range 2 + r.IntN(20) {
			a := randomNear(r)
			bits := a.BitLen() - pick(r, 0, 0, 1, 8, 9, 16)
			if p := netip.PrefixFrom(a, bits); r.IntN(5) > 0 {
				fmt.Fprintf(&b, "%s %s\n", p.Masked(), pick(r, "permit", "reject", "dunno"))
			} else {
				fmt.Fprintf(&b, "%s%s %s\n", p, pick(r, "", "", "0", "/1"), pick(r, "permit", "reject", "", "dunno"))
			}
		}
		chosen := pick(r, "permit", "reject")
		list, err := loadFeed(t, Filtered{Format: PostfixCIDR, Results: chosen}, lists.Suppress, b.String())
		if err != nil { // hardly a good rule, or none with that result
			continue
		}
		skipped += list.Status().Skipped.Total
		keys := make(map[string]bool)
		for range 300 {
			keys[randomNear(r).String()] = true
		}
		found := queryPostfix(t, "cidr:"+writeOld(t, "table", b.String()), keys)
		for key := range keys {
			if got, want := isMatch(list, lists.Client{Addr: netip.MustParseAddr(key)}), found[key] == chosen; got != want {
				t.Fatalf("seed %d: %s: matched %v, Postfix says %q\n%s", seed, key, got, found[key], b.String())
			}
		}
	}
	if skipped < 20 {
		t.Errorf("only %d rules were skipped", skipped)
	}
}

// Results that were chosen count, and the others hide what is wider, also in access tables with names.
func TestResultsAgainstPostfix(t *testing.T) {
	testenv.Needs(t, "Postfix")
	tables := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 6))
		format := pick(r, PostfixAccess, PostfixExact)
		name := func() string { return pick(r, "", "a.", "b.") + pick(r, "x.", "y.") + pick(r, "example", "test") }
		var b strings.Builder
		for range 1 + r.IntN(25) {
			key := name()
			if r.IntN(3) > 0 {
				key = strings.Join(strings.Split(netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(3)), byte(r.IntN(4))}).String(), ".")[:1+r.IntN(4)], ".")
			} else if format == PostfixExact && r.IntN(2) == 0 {
				key = "." + key
			}
			b.WriteString(key + " " + pick(r, "REJECT", "reject no", "OK", "550 no", "DUNNO") + "\n")
		}
		list, err := loadFeed(t, Filtered{Format: format, Results: "reject 550"}, lists.Suppress, b.String())
		if err != nil {
			continue // an exception for an address, and a name on the list
		}
		tables++
		var clients []lists.Client
		keys := make(map[string]bool)
		for range 200 {
			c := lists.Client{Addr: netip.AddrFrom4([4]byte{10, byte(r.IntN(2)), byte(r.IntN(3)), byte(r.IntN(4))}), Name: pick(r, "", name(), "q."+name())}
			clients = append(clients, c)
			lookUpAccess(c, format == PostfixExact, func(key string) (string, bool) { keys[key] = true; return "", false })
		}
		found := queryPostfix(t, "texthash:"+writeOld(t, "table", b.String()), keys)
		for _, c := range clients {
			result := lookUpAccess(c, format == PostfixExact, func(key string) (string, bool) { v, ok := found[key]; return v, ok })
			want := strings.HasPrefix(strings.ToLower(result), "reject") || strings.HasPrefix(result, "550")
			if got := isMatch(list, c); got != want {
				t.Fatalf("seed %d: %+v: matched %v, Postfix says %q\n%s", seed, c, got, result, b.String())
			}
		}
	}
	if tables < 15 {
		t.Errorf("only %d tables were read", tables)
	}
}
