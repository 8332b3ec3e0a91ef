package listfile

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go4.org/netipx"

	"ehlogate/lists/iptable"
)

// ParseSpan parses an address, a prefix or a range as list files have them. The error is a *SyntaxError.
//
// An IPv4-mapped address is the IPv4 address. A network of them is an error: it is in lists of invalid IPv6 networks, and
// must not become a way to say all of IPv4.
func ParseSpan(word string) (from, to netip.Addr, err error) {
	if len(word) <= len("255.255.255.255/32") {
		var data [plainSize]byte
		copy(data[:], word)
		if from, to, n := parsePlain(data[:]); n == len(word) && n > 0 {
			return from, to, nil
		}
	}
	return parseAnySpan(word)
}

// parseAnySpan is ParseSpan, and needs more time for what is plain.
func parseAnySpan(word string) (from, to netip.Addr, err error) {
	fail := func(msg, hint string) { err = &SyntaxError{Width: len(word), Msg: msg, Hint: hint} }
	if left, right, ok := strings.Cut(word, "/"); ok {
		from, to = parsePrefix(left, right, fail)
	} else {
		first, last, isRange := strings.Cut(word, "-")
		if from = parseAddr(first, fail); err == nil && isRange {
			to = parseRangeEnd(from, last, fail)
		} else {
			to = from
		}
	}
	switch {
	case err != nil:
		return netip.Addr{}, netip.Addr{}, err
	case from.Is4In6() && from == to:
		return from.Unmap(), to.Unmap(), nil
	case from.Is4In6() && to.Is4In6():
		return netip.Addr{}, netip.Addr{}, mappedError(word, netipx.IPRangeFrom(from.Unmap(), to.Unmap()))
	}
	return from, to, nil
}

// mappedError returns the error for a network of IPv4-mapped addresses.
func mappedError(word string, ipv4 netipx.IPRange) error {
	hint := "remove the line: an IPv4 client is looked up by its IPv4 address"
	if it := (iptable.Item{From: ipv4.From(), To: ipv4.To()}); !isWide(&it) {
		hint = fmt.Sprintf("if the IPv4 network is meant, write %s", &it)
	}
	return &SyntaxError{Width: len(word), Msg: "network of IPv4-mapped addresses, which matches no client", Hint: hint, NoClient: true}
}

func parsePrefix(left, right string, fail func(msg, hint string)) (from, to netip.Addr) {
	addr := parseAddr(left, fail)
	if !addr.IsValid() {
		return from, to
	}
	n, err := strconv.Atoi(right)
	if err != nil || right != strconv.Itoa(n) || n < 0 || n > addr.BitLen() {
		hint := fmt.Sprintf("write a number of bits, 0 to %d", addr.BitLen())
		if ones, ok := ParseMask(right); ok && addr.Is4() {
			hint = networkHint(addr, ones)
		}
		fail(fmt.Sprintf("invalid prefix length %q", right), hint)
		return from, to
	}
	network := netip.PrefixFrom(addr, n).Masked()
	switch {
	case addr.Is4In6() && n < 96:
		fail("prefix contains all IPv4-mapped addresses, which match no client", "remove the line: an IPv4 client is looked up by its IPv4 address")
	case network.Addr() == addr:
	case addr.Is4In6():
		fail(fmt.Sprintf("%s/%d has host bits set", addr, n), networkHint(addr.Unmap(), n-96))
	default:
		fail(fmt.Sprintf("%s/%d has host bits set", addr, n), networkHint(addr, n))
	}
	return addr, netipx.PrefixLastIP(network)
}

// ParseMask returns the prefix length of a mask such as 255.255.255.0. It takes no mask of a network that is too wide.
func ParseMask(mask string) (bits int, ok bool) {
	addr, err := netip.ParseAddr(mask)
	if err != nil || !addr.Is4() {
		return 0, false
	}
	bits, size := net.IPMask(addr.AsSlice()).Size()
	return bits, size != 0 && bits >= 8
}

// networkHint returns what to write in place of an address with a prefix length. It never is a network that is too wide.
func networkHint(addr netip.Addr, bits int) string {
	network := netip.PrefixFrom(addr, bits).Masked()
	switch it := (iptable.Item{From: network.Addr(), To: netipx.PrefixLastIP(network)}); {
	case isWide(&it):
		return fmt.Sprintf("correct the prefix length, or write %s for the one address", addr)
	case network.Addr() == addr:
		return fmt.Sprintf("write %s", network)
	}
	return fmt.Sprintf("write %s for the network, or %s for the one address", network, addr)
}

func parseRangeEnd(from netip.Addr, last string, fail func(msg, hint string)) (to netip.Addr) {
	if strings.Trim(last, "0123456789") == "" && last != "" {
		fail(fmt.Sprintf("invalid address %q", last), "write both ends of a range in full: FIRST-LAST")
		return to
	}
	if to = parseAddr(last, fail); from.Is4In6() && to.Is4() {
		to = netip.AddrFrom16(to.As16()) // ::ffff:192.0.2.1-192.0.2.9
	}
	switch {
	case !to.IsValid():
	case from.Is4() != to.Is4():
		fail("range from one address family to the other", "write one range for IPv4 and one for IPv6")
	case to.Less(from):
		hint := "correct its ends"
		if it := (iptable.Item{From: to, To: from}); !isWide(&it) {
			hint = fmt.Sprintf("write %s-%s", to, from)
		}
		fail("range ends before it begins", hint)
	}
	return to
}

// parseAddr returns IPv4-mapped addresses as they are. It returns the zero address if it calls fail.
func parseAddr(s string, fail func(msg, hint string)) netip.Addr {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		fail(fmt.Sprintf("invalid address %q%s", s, describeIPv4(s)), "")
	case a.Zone() != "":
		fail("address with a zone", "write "+a.WithZone("").String())
	default:
		return a
	}
	return netip.Addr{}
}

// describeIPv4 returns what is wrong with an IPv4 address.
func describeIPv4(s string) string {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return ""
	}
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return fmt.Sprintf(": it has %d of 4 parts", len(parts))
	}
	for _, part := range parts {
		switch {
		case part == "":
			return ": empty part"
		case len(part) > 1 && part[0] == '0':
			return ": leading zero in " + part
		case len(part) > 3 || part > "255" && len(part) == 3:
			return fmt.Sprintf(": %s is above 255", part)
		}
	}
	return ""
}
