package dnsbl

import (
	"net/netip"

	"ehlogate/lists"
)

// maxName is how long a domain name is at most, in bytes without the last dot
// (RFC 1035 section 2.3.4).
const maxName = 253

const hex = "0123456789abcdef"

// reverse gives addr as it stands in front of a zone: its octets, or the 32
// nibbles of IPv6, last first (RFC 5782 sections 2.1 and 2.4).
func reverse(addr netip.Addr) string {
	b := make([]byte, 0, 64)
	if addr.Is4() {
		a := addr.As4()
		return netip.AddrFrom4([4]byte{a[3], a[2], a[1], a[0]}).String()
	}
	a := addr.As16()
	for i := 15; i >= 0; i-- {
		b = append(b, hex[a[i]&15], '.', hex[a[i]>>4], '.')
	}
	return string(b[:len(b)-1])
}

// pointer gives the name at which PTR records of addr are (RFC 1035 section
// 3.5, RFC 3596 section 2.5).
func pointer(addr netip.Addr) string {
	if addr.Is4() {
		return reverse(addr) + ".in-addr.arpa"
	}
	return reverse(addr) + ".ip6.arpa"
}

// hostName returns the normal spelling of a host name, and false if s is none, or ends in a number as an IPv4 address does.
func hostName(s string) (string, bool) {
	s = lists.NormalizeName(s)
	return s, lists.CheckHostName(s) == nil && !lists.EndsInNumber(s)
}
