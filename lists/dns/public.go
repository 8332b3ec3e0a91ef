package dns

import "net/netip"

// special are addresses that are no client's on the Internet, by the IANA
// registries of special-purpose addresses (RFC 6890) and of IPv6 space.
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network, RFC 791
	netip.MustParsePrefix("10.0.0.0/8"),      // private, RFC 1918
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),     // loopback, RFC 1122
	netip.MustParsePrefix("169.254.0.0/16"),  // link-local, RFC 3927
	netip.MustParsePrefix("172.16.0.0/12"),   // private, RFC 1918
	netip.MustParsePrefix("192.0.0.0/24"),    // protocols, RFC 6890
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation, RFC 5737
	netip.MustParsePrefix("192.168.0.0/16"),  // private, RFC 1918
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"), // documentation, RFC 5737
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation, RFC 5737
	netip.MustParsePrefix("224.0.0.0/3"),     // multicast, RFC 1112, and reserved
	netip.MustParsePrefix("2001::/23"),       // protocols, RFC 2928, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),   // documentation, RFC 3849
	netip.MustParsePrefix("3fff::/20"),       // documentation, RFC 9637
}

// begins has the first octets of special, so that most addresses are compared
// with none of it.
var begins = func() (b [2][256]bool) {
	for _, p := range special {
		a := p.Addr().AsSlice()
		first, span := int(a[0]), 1
		if p.Bits() < 8 {
			span = 1 << (8 - p.Bits())
		}
		for n := first; n < first+span; n++ {
			b[len(a)/16][n] = true
		}
	}
	return b
}()

// public says whether addr may be asked about: whether it is a global unicast
// address. Everybody else's lists know nothing of the others, and need not know
// of them. addr is unmapped.
func public(addr netip.Addr) bool {
	b := addr.As16()
	if addr.Is4() {
		if !begins[0][b[12]] {
			return true
		}
	} else if b[0]>>5 != 1 { // not in 2000::/3, RFC 4291 section 2.4
		return false
	} else if !begins[1][b[0]] {
		return true
	}
	for _, p := range special {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
