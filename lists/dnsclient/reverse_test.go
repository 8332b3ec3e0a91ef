package dnsclient

import (
	"net/netip"
	"strings"
	"testing"
)

func TestReverse(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.99": "99.2.0.192", "1.2.3.4": "4.3.2.1",
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2", // RFC 5782 section 2.4
		"::ffff:7f00:2":             "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
	} {
		if got := ReverseAddr(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
	if got := PointerName(netip.MustParseAddr("192.0.2.99")); got != "99.2.0.192.in-addr.arpa" {
		t.Error(got)
	}
	if got := PointerName(netip.MustParseAddr("2001:db8::1")); !strings.HasSuffix(got, "8.b.d.0.1.0.0.2.ip6.arpa") {
		t.Error(got)
	}
}
