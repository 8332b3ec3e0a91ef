// Package dnsname writes addresses as domain names, and reports which names are host names.
package dnsname

import (
	"net/netip"

	"ehlogate/lists"
)

// MaxLength is the maximum length of a domain name, in bytes without the final dot (RFC 1035 section 2.3.4).
const MaxLength = 253

const hex = "0123456789abcdef"

// Reverse returns addr as it is written in front of a zone: its octets, or the 32 nibbles of IPv6, in reverse order (RFC
// 5782 sections 2.1 and 2.4).
func Reverse(addr netip.Addr) string {
	if addr.Is4() {
		a := addr.As4()
		return netip.AddrFrom4([4]byte{a[3], a[2], a[1], a[0]}).String()
	}
	b := make([]byte, 0, 64)
	a := addr.As16()
	for i := 15; i >= 0; i-- {
		b = append(b, hex[a[i]&15], '.', hex[a[i]>>4], '.')
	}
	return string(b[:len(b)-1])
}

// Pointer returns the name of the PTR records of addr (RFC 1035 section 3.5, RFC 3596 section 2.5).
func Pointer(addr netip.Addr) string {
	if addr.Is4() {
		return Reverse(addr) + ".in-addr.arpa"
	}
	return Reverse(addr) + ".ip6.arpa"
}

// HostName returns the normal spelling of a host name, and false if s is none, or ends in a number as an IPv4 address does.
func HostName(s string) (string, bool) {
	s = lists.NormalizeName(s)
	return s, lists.CheckHostName(s) == nil && !lists.EndsInNumber(s)
}
