package listfile

import (
	"math/big"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/iptable"
	"ehlogate/lists/prefixset"
)

// clients has the addresses that a client can have, by the IANA registries of special-purpose addresses (RFC 6890), of IPv4
// and of IPv6 space. No client connects from others: this network (0.0.0.0/8), multicast, and what is reserved. Loopback,
// private and link-local addresses are those of clients, and so are the addresses of documentation in tests.
var clients = prefixset.New(
	"1.0.0.0/8", "2.0.0.0/7", "4.0.0.0/6", "8.0.0.0/5", "16.0.0.0/4", "32.0.0.0/3", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/3",
	"::1/128",                        // loopback, RFC 4291
	"64:ff9b::/96", "64:ff9b:1::/48", // translated from IPv4, RFC 6052 and 8215
	"2000::/3",  // global unicast, RFC 4291
	"fc00::/7",  // unique local, RFC 4193
	"fe80::/10", // link-local, RFC 4291
)

// isWide reports whether an entry covers more clients than an IPv4 /8 or an IPv6 /19 has, a whole top-level domain, or
// every name.
func isWide(it *iptable.Item) bool {
	bits := 19
	switch {
	case it.Kind == iptable.Domain:
		return !strings.Contains(it.Name, ".")
	case it.Kind != iptable.Address:
		return strings.HasPrefix(it.Name, ".") && strings.Count(it.Name, ".") == 1
	case it.From.Is4():
		bits = 8
	}
	first, _ := it.From.Prefix(bits)
	return !first.Contains(it.To) && hasMoreClients(it, bits)
}

// hasMoreClients reports whether more clients can have an address of the entry than one of a prefix of that length.
func hasMoreClients(it *iptable.Item, bits int) bool {
	var b netipx.IPSetBuilder
	b.AddRange(netipx.IPRangeFrom(it.From, it.To))
	b.Intersect(clients.IPSet)
	set, err := b.IPSet()
	if err != nil {
		return true
	}
	rest := new(big.Int)
	for _, p := range set.Prefixes() {
		rest.Add(rest, new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits())))
	}
	return rest.Cmp(new(big.Int).Lsh(big.NewInt(1), uint(it.From.BitLen()-bits))) > 0
}

// hasClients reports whether a client can have an address of the entry.
func hasClients(it *Item) bool {
	if it.From.Is4() { // by far the most
		first, last := it.From.As4()[0], it.To.As4()[0]
		return first < 224 && last > 0
	}
	if first := it.From.As16()[0]; first>>5 == 1 { // global unicast
		return true
	}
	return clients.OverlapsRange(netipx.IPRangeFrom(it.From, it.To))
}
