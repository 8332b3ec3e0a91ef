package dnsbl

import (
	"iter"
	"net/netip"
	"slices"
)

// space is a set of prefixes.
type space struct {
	prefixes []netip.Prefix
	begins   [2][256]bool // first octets, by family, so that most addresses are compared with no prefix
}

// private are addresses that are no client's on the Internet, by the IANA
// registries of special-purpose addresses (RFC 6890) and of IPv6 space.
var private = newSpace(
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

// nameless are addresses of no host on any network, or of none but this host or
// its link, so that reverse DNS says nothing about them.
var nameless = newSpace(
	"0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
	"::/128", "::1/128", "fe80::/10", "ff00::/8",
)

func newSpace(prefixes ...string) *space {
	s := new(space)
	for _, text := range prefixes {
		p := netip.MustParsePrefix(text)
		a := p.Addr().AsSlice()
		first, span := int(a[0]), 1
		if p.Bits() < 8 {
			span = 1 << (8 - p.Bits())
		}
		for n := first; n < first+span; n++ {
			s.begins[len(a)/16][n] = true
		}
		s.prefixes = append(s.prefixes, p)
	}
	return s
}

// has reports whether addr, which is unmapped, is in one of the prefixes.
func (s *space) has(addr netip.Addr) bool {
	b := addr.As16()
	first := b[0]
	if addr.Is4() {
		first = b[12]
	}
	if !s.begins[addr.BitLen()/128][first] {
		return false
	}
	return slices.ContainsFunc(s.prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// bounds returns the addresses at which has may change.
func (s *space) bounds() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for _, p := range s.prefixes {
			if !yield(p.Addr()) {
				return
			}
			if behind := lastAddr(p).Next(); behind.IsValid() && !yield(behind) {
				return
			}
		}
	}
}

// lastAddr returns the last address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// public reports whether zones may be asked about addr, which is unmapped: whether
// it is a global unicast address. Lists of others know nothing of the rest, and need
// not know of them.
func public(addr netip.Addr) bool { return !private.has(addr) }
