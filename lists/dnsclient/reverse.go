package dnsclient

import "net/netip"

// ReverseAddr returns addr as it is written in front of a zone: its octets, or the 32 nibbles of IPv6, in reverse order
// (RFC 5782 sections 2.1 and 2.4).
func ReverseAddr(addr netip.Addr) string {
	if addr.Is4() {
		a := addr.As4()
		return netip.AddrFrom4([4]byte{a[3], a[2], a[1], a[0]}).String()
	}
	const hex = "0123456789abcdef"
	b := make([]byte, 0, 64)
	a := addr.As16()
	for i := 15; i >= 0; i-- {
		b = append(b, hex[a[i]&15], '.', hex[a[i]>>4], '.')
	}
	return string(b[:len(b)-1])
}

// PointerName returns the name of the PTR records of addr (RFC 1035 section 3.5, RFC 3596 section 2.5).
func PointerName(addr netip.Addr) string {
	if addr.Is4() {
		return ReverseAddr(addr) + ".in-addr.arpa"
	}
	return ReverseAddr(addr) + ".ip6.arpa"
}
