package prefixset_test

import (
	"net/netip"
	"testing"

	"ehlogate/lists/prefixset"
	"ehlogate/lists/test/listtest"
)

func TestContains(t *testing.T) {
	set := prefixset.New("192.0.2.0/25", "10.0.0.0/7", "255.255.255.255/32", "2001:db8::/33", "::1/128", "8000::/1")
	for addr, want := range map[string]bool{
		"192.0.2.127": true, "192.0.2.128": false, "11.255.255.255": true, "12.0.0.0": false, "255.255.255.255": true,
		"2001:db8:7fff::": true, "2001:db8:8000::": false, "::1": true, "::2": false, "ffff::": true, "7fff::": false, "a00::1": false,
	} {
		if got := set.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
	listtest.CheckBoundaries(t, set, set.Contains)
}
