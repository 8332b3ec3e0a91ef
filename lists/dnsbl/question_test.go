package dnsbl

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ehlogate/lists"
)

// triple gives what is behind 127 in an answer.
func triple(answer string) string {
	b := netip.MustParseAddr(answer).As4()
	return string(b[1:])
}

func triples(answers string) (said string) {
	for _, a := range strings.Fields(answers) {
		said += triple(a)
	}
	return said
}

func TestReverse(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.99": "99.2.0.192", "1.2.3.4": "4.3.2.1",
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2", // RFC 5782 section 2.4
		"::ffff:7f00:2":             "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
	} {
		if got := reverse(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
	if got := pointer(netip.MustParseAddr("192.0.2.99")); got != "99.2.0.192.in-addr.arpa" {
		t.Error(got)
	}
	if got := pointer(netip.MustParseAddr("2001:db8::1")); !strings.HasSuffix(got, "8.b.d.0.1.0.0.2.ip6.arpa") {
		t.Error(got)
	}
}

func TestPublic(t *testing.T) {
	yes := `1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.1.1.1 128.0.0.1 169.253.255.255 169.255.0.0
		172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 198.51.99.255
		198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
		2001:200:: 2001:4860::1 2001:db7:ffff:: 2001:db9:: 2000::1 2a00::1 3ffe:: 3fff:1000:: 3fff:ffff::`
	no := `0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255 169.254.0.1
		172.16.0.0 172.31.255.255 192.0.0.1 192.0.2.0 192.0.2.255 192.168.0.0 192.168.255.255 198.18.0.0 198.19.255.255
		198.51.100.0 198.51.100.255 203.0.113.0 203.0.113.255 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
		:: ::1 ::2 64:ff9b::1 100::1 2001::1 2001:1ff:ffff:: 2001:db8:: 2001:db8:ffff:ffff:: 3fff:: 3fff:fff:ffff:: 4000::
		1fff:: 5f00::1 fc00::1 fd00::1 fe80::1 ff02::1`
	for _, a := range strings.Fields(yes) {
		if !public(netip.MustParseAddr(a)) {
			t.Errorf("%s is not asked about", a)
		}
	}
	for _, a := range strings.Fields(no) {
		if public(netip.MustParseAddr(a)) {
			t.Errorf("%s is asked about", a)
		}
	}
}

// Nothing is looked up about what netip does not call global unicast, and no border is
// left out of bounds.
func TestBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		space *space
		has   func(netip.Addr) bool
	}{
		"nameless": {nameless, func(a netip.Addr) bool { return !a.IsGlobalUnicast() }},
		"private":  {private, func(a netip.Addr) bool { return !public(a) }},
	} {
		starts := append(slices.Collect(tc.space.bounds()), netip.IPv4Unspecified(), netip.IPv6Unspecified())
		slices.SortFunc(starts, netip.Addr.Compare)
		starts = slices.Compact(starts)
		r := rand.New(rand.NewPCG(1, 1))
		for range 100000 {
			a := netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
			if r.IntN(2) == 0 {
				b := a.As16()
				b[0], b[1], b[2], b[3] = byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())
				a = netip.AddrFrom16(b)
			}
			if r.IntN(2) == 0 {
				a = starts[r.IntN(len(starts))]
				if near := []netip.Addr{a.Prev(), a, a.Next()}[r.IntN(3)]; near.IsValid() {
					a = near
				}
			}
			i, exact := slices.BinarySearchFunc(starts, a, netip.Addr.Compare)
			if !exact {
				i--
			}
			if tc.has(a) != tc.space.has(a) || tc.space.has(a) != tc.space.has(starts[i]) {
				t.Fatalf("%s: %s %v, wanted %v, at the border %s %v", name, a, tc.space.has(a), tc.has(a), starts[i], tc.space.has(starts[i]))
			}
		}
	}
}

func TestHostName(t *testing.T) {
	for in, want := range map[string]string{
		"mail.example": "mail.example", "Mail.Example.": "mail.example", "a": "a", "a-b_c.d": "a-b_c.d", "1.2.3.4a": "1.2.3.4a", "x.123a": "x.123a",
		"": "", ".": "", ".a": "", "a..b": "", "1.2.3.4": "", "123": "", "a.b c": "", `a\.b.example`: "", `a\032.example`: "", "a*.b": "", "ä.example": "",
		"a/b": "", "mail.example\x00": "", "[1.2.3.4]": "", "2001:db8::1": "",
		strings.Repeat("a", 63) + ".example": strings.Repeat("a", 63) + ".example", strings.Repeat("a", 64) + ".example": "",
		strings.Repeat("abcdefg.", 31) + "abcde":  strings.Repeat("abcdefg.", 31) + "abcde", // 253
		strings.Repeat("abcdefg.", 31) + "abcdef": "",
	} {
		got, ok := hostName(in)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
		if ok && got != lists.NormalizeName(in) {
			t.Errorf("%q is not spelt as lists spell it", got)
		}
	}
}

func FuzzHostName(f *testing.F) {
	for _, s := range []string{"mail.example", "a..b", `a\.b`, "1.2.3.4", "-", "_.", "x.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, ok := hostName(s)
		if !ok {
			return
		}
		if again, ok := hostName(name); !ok || again != name || len(name) > maxName {
			t.Fatalf("%q became %q, which became %q", s, name, again)
		}
		if _, err := netip.ParseAddr(name); err == nil || strings.ContainsAny(name, " \\/:*@\x00") {
			t.Fatalf("%q", name)
		}
		for label := range strings.SplitSeq(name, ".") {
			if label == "" || len(label) > 63 {
				t.Fatalf("%q", name)
			}
		}
	})
}
