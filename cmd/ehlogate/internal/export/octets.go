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
// decides. Each address has a value, which is a number. A network without a line has the value of the network around it.
type octetTable struct {
	ranges []decidedRange[int] // of all addresses, in order
	values int                 // how many there are
	// own has the divided networks that take fewer lines with one of their own.
	own map[netip.Prefix]ownLine
}

// ownLine is the line of a network, for networks around it that have certain values.
type ownLine struct {
	value int
	saves uint32 // the values of the network around for which it makes fewer lines
}

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
func rangesWithin(ranges []decidedRange[int], p netip.Prefix) []decidedRange[int] {
	from, _ := slices.BinarySearchFunc(ranges, p.Addr(), func(r decidedRange[int], a netip.Addr) int { return r.To().Compare(a) })
	to, last := slices.BinarySearchFunc(ranges, netipx.PrefixLastIP(p), func(r decidedRange[int], a netip.Addr) int { return r.From().Compare(a) })
	if last {
		to++
	}
	return ranges[from:to]
}

// maxValues bounds the values of a table.
const maxValues = 16

// countLines returns how many lines network p takes, by the value of the network around it, and fills t.own. No line is
// about a whole family: the default, of both families, is.
func (t *octetTable) countLines(p netip.Prefix, within []decidedRange[int]) (lines [maxValues]int) {
	within = rangesWithin(within, p)
	size := groupBits(p)
	if len(within) == 1 && p.Bits() > 0 { // one value
		for around := range t.values {
			if around != within[0].value {
				lines[around] = 1 << ((size - p.Bits()%size) % size)
			}
		}
		return lines
	}
	for _, half := range splitPrefix(p) {
		for around, n := range t.countLines(half, within) {
			lines[around] += n
		}
	}
	if p.Bits() == 0 || p.Bits()%size != 0 {
		return lines
	}
	best := 0
	for value := range t.values {
		if lines[value] < lines[best] {
			best = value
		}
	}
	own := ownLine{value: best}
	for around, n := range lines[:t.values] {
		if with := lines[best] + 1; with < n {
			own.saves |= 1 << around
		}
	}
	if own.saves != 0 {
		t.own[p] = own
	}
	for around := range t.values {
		if own.saves&(1<<around) != 0 {
			lines[around] = lines[best] + 1
		}
	}
	return lines
}

// visitLines calls line for each line that network p takes, if the network around it has the value around.
func (t *octetTable) visitLines(p netip.Prefix, within []decidedRange[int], around int, line func(key string, value int)) {
	within = rangesWithin(within, p)
	if isSame := len(within) == 1; isSame && within[0].value == around {
		return
	} else if isSame && p.Bits() > 0 && p.Bits()%groupBits(p) == 0 {
		line(formatKey(p), within[0].value)
		return
	}
	if own, ok := t.own[p]; ok && own.saves&(1<<around) != 0 {
		around = own.value
		line(formatKey(p), own.value)
	}
	for _, half := range splitPrefix(p) {
		t.visitLines(half, within, around, line)
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
