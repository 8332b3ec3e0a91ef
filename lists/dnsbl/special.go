package dnsbl

import (
	"net/netip"

	"ehlogate/lists/prefixset"
)

// special has addresses that are no client's on the Internet, by the IANA registries of special-purpose addresses (RFC 6890)
// and of IPv6 space.
var special = prefixset.New(
	"0.0.0.0/8",       // this network, RFC 791
	"10.0.0.0/8",      // private, RFC 1918
	"100.64.0.0/10",   // carrier-grade NAT, RFC 6598
	"127.0.0.0/8",     // loopback, RFC 1122
	"169.254.0.0/16",  // link-local, RFC 3927
	"172.16.0.0/12",   // private, RFC 1918
	"192.0.0.0/24",    // protocols, RFC 6890
	"192.0.2.0/24",    // documentation, RFC 5737
	"192.168.0.0/16",  // private, RFC 1918
	"198.18.0.0/15",   // benchmarks, RFC 2544
	"198.51.100.0/24", // documentation, RFC 5737
	"203.0.113.0/24",  // documentation, RFC 5737
	"224.0.0.0/3",     // multicast, RFC 1112, and reserved
	"::/3",            // all but global unicast is outside 2000::/3, RFC 4291 section 2.4
	"2001::/23",       // protocols, RFC 2928, Teredo among them
	"2001:db8::/32",   // documentation, RFC 3849
	"3fff::/20",       // documentation, RFC 9637
	"4000::/2",
	"8000::/1",
)

// isPublic reports whether zones can be queried about addr, which is unmapped: whether it is a global unicast address. Public
// lists know nothing of other addresses, and need not learn of them.
func isPublic(addr netip.Addr) bool { return !special.Contains(addr) }
