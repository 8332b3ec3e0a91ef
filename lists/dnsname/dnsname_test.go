package dnsname

import (
	"net/netip"
	"strings"
	"testing"

	"ehlogate/lists"
)

func TestReverse(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.99": "99.2.0.192", "1.2.3.4": "4.3.2.1",
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2", // RFC 5782 section 2.4
		"::ffff:7f00:2":             "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
	} {
		if got := Reverse(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
	if got := Pointer(netip.MustParseAddr("192.0.2.99")); got != "99.2.0.192.in-addr.arpa" {
		t.Error(got)
	}
	if got := Pointer(netip.MustParseAddr("2001:db8::1")); !strings.HasSuffix(got, "8.b.d.0.1.0.0.2.ip6.arpa") {
		t.Error(got)
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
		got, ok := HostName(in)
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
		name, ok := HostName(s)
		if !ok {
			return
		}
		if again, ok := HostName(name); !ok || again != name || len(name) > MaxLength {
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
