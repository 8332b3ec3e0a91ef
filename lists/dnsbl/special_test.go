package dnsbl

import (
	"ehlogate/lists/test/listtest"
	"net/netip"
	"strings"
	"testing"
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
		if !isPublic(netip.MustParseAddr(a)) {
			t.Errorf("%s is not asked about", a)
		}
	}
	for _, a := range strings.Fields(no) {
		if isPublic(netip.MustParseAddr(a)) {
			t.Errorf("%s is asked about", a)
		}
	}
}

// No border is left out of Boundaries.
func TestBoundaries(t *testing.T) {
	listtest.CheckBoundaries(t, special, func(a netip.Addr) bool { return !isPublic(a) })
}
