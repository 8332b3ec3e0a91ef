package earned

import (
	"encoding/binary"
	"math"
	"net/netip"

	"ehlogate/lists"
)

// client identifies a client: an IPv4 address, or the upper half of an IPv6 address. An upper half is never as small as an
// IPv4 address: it would be of ::/32, in which no client is. 0 is no client.
type client uint64

// clientOf returns the client at an address; false if there cannot be one.
func clientOf(a netip.Addr) (client, bool) {
	if a.Is4() {
		b := a.As4()
		c := client(binary.BigEndian.Uint32(b[:]))
		return c, c != 0
	}
	if a.Is6() {
		b := a.As16()
		c := client(binary.BigEndian.Uint64(b[:8]))
		return c, c > math.MaxUint32
	}
	return 0, false
}

// prefix returns the addresses of a client.
func (c client) prefix() netip.Prefix {
	if c <= math.MaxUint32 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(c)))), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(c))
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

func (c client) String() string { return textOf(c.prefix()) }

// textOf returns a client as operators write it: one address without its length.
func textOf(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// crowds are networks in which a /64 is no client: those of translators (RFC 6052, RFC 8215), behind which are all IPv4
// addresses, and of Teredo (RFC 4380), where it belongs to a relay.
var crowds = []netip.Prefix{netip.MustParsePrefix("64:ff9b::/32"), netip.MustParsePrefix("2001::/32")}

// isCrowd reports whether a server can see many clients in place of the one at an address.
func isCrowd(a netip.Addr) bool {
	for _, p := range crowds {
		if p.Contains(a) {
			return true
		}
	}
	return lists.MayBeShared(a)
}
