package export

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// octetTable is a table with keys of whole octets, in IPv6 groups of 16 bits, of which the longest key that matches
// decides. Addresses in given ranges, which are in order and do not touch, have the value true, all others false. A
// network without a line has the value of the network around it.
//
// It has the divided networks that take fewer lines with one of their own, and its value. That line is left out if the
// network around has that value.
type octetTable map[netip.Prefix]bool

func groupBits(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 8
	}
	return 16
}

func splitPrefix(p netip.Prefix) [2]netip.Prefix {
	bits := p.Bits() + 1
	return [2]netip.Prefix{netip.PrefixFrom(p.Addr(), bits), netip.PrefixFrom(netipx.PrefixLastIP(p), bits).Masked()}
}

// rangesWithin returns those of ranges that overlap p.
func rangesWithin(ranges []netipx.IPRange, p netip.Prefix) []netipx.IPRange {
	from, _ := slices.BinarySearchFunc(ranges, p.Addr(), func(r netipx.IPRange, a netip.Addr) int { return r.To().Compare(a) })
	to, last := slices.BinarySearchFunc(ranges, netipx.PrefixLastIP(p), func(r netipx.IPRange, a netip.Addr) int { return r.From().Compare(a) })
	if last {
		to++
	}
	return ranges[from:to]
}

// singleValue returns the value of p if all its addresses have the same. within has the ranges that overlap p.
func singleValue(within []netipx.IPRange, p netip.Prefix) (value, ok bool) {
	value = len(within) == 1 && within[0].Contains(p.Addr()) && within[0].Contains(netipx.PrefixLastIP(p))
	return value, value || len(within) == 0
}

func boolIndex(b bool) int {
	if b {
		return 1
	}
	return 0
}

// countLines returns how many lines network p takes if the network around it has the value false, or true, and fills
// t. No line is about a whole family: the default, of both families, is.
func (t octetTable) countLines(p netip.Prefix, ranges []netipx.IPRange) (lines [2]int) {
	ranges = rangesWithin(ranges, p)
	size := groupBits(p)
	if value, ok := singleValue(ranges, p); ok && p.Bits() > 0 {
		lines[boolIndex(!value)] = 1 << ((size - p.Bits()%size) % size)
		return lines
	}
	for _, half := range splitPrefix(p) {
		n := t.countLines(half, ranges)
		lines[0], lines[1] = lines[0]+n[0], lines[1]+n[1]
	}
	if p.Bits() > 0 && p.Bits()%size == 0 {
		for around := range lines {
			if own := lines[1-around] + 1; own < lines[around] {
				lines[around] = own
				t[p] = around == 0
			}
		}
	}
	return lines
}

// visitLines calls line for each line that network p takes, if the network around it has the value around.
func (t octetTable) visitLines(p netip.Prefix, ranges []netipx.IPRange, around bool, line func(key string, value bool)) {
	ranges = rangesWithin(ranges, p)
	if value, ok := singleValue(ranges, p); ok && value == around {
		return
	} else if ok && p.Bits() > 0 && p.Bits()%groupBits(p) == 0 {
		line(formatKey(p), value)
		return
	}
	if own, ok := t[p]; ok && own != around {
		around = own
		line(formatKey(p), own)
	}
	for _, half := range splitPrefix(p) {
		t.visitLines(half, ranges, around, line)
	}
}

// formatKey returns a network as Sendmail spells it: 192.0.2, IPv6:2001:db8:0.
func formatKey(p netip.Prefix) string {
	var groups []string
	octets := p.Addr().AsSlice()[:p.Bits()/8]
	if p.Addr().Is4() {
		for _, octet := range octets {
			groups = append(groups, fmt.Sprint(octet))
		}
		return strings.Join(groups, ".")
	}
	for group := range slices.Chunk(octets, 2) {
		groups = append(groups, fmt.Sprintf("%x", binary.BigEndian.Uint16(group)))
	}
	return "IPv6:" + strings.Join(groups, ":")
}
