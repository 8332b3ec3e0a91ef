package export

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
)

// octetTree is a network in a table with keys of whole octets, in IPv6 groups of 16 bits, of which the longest key that
// matches decides. There are two values. A network without a line has the value of the network around it.
type octetTree struct {
	prefix netip.Prefix
	parts  []treePart
	// cost is how many lines the network takes if the network around it has the value false, or true. flips reports
	// whether the first of these lines is about the network itself.
	cost  [2]int
	flips [2]bool
}

// treePart is a run of networks on the next level that have one value, or one network that is divided further.
type treePart struct {
	first   netip.Prefix
	count   int
	value   bool
	divided *octetTree
}

// buildOctetTrees returns the trees of IPv4 and IPv6. Addresses in the ranges have the value true. The ranges must be in
// order, and no two of them may touch.
func buildOctetTrees(ranges []netipx.IPRange) []*octetTree {
	var trees []*octetTree
	for _, zero := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		e := valueChanges{}
		for _, r := range ranges {
			if r.From().Is4() != zero.Is4() {
				continue
			}
			if e.first = e.first || r.From() == zero; r.From() != zero {
				e.at = append(e.at, r.From())
			}
			if next := r.To().Next(); next.IsValid() {
				e.at = append(e.at, next)
			}
		}
		t := e.buildTree(netip.PrefixFrom(zero, 0))
		// No line is about all of a family: the default, of both families, is.
		t.cost, t.flips = t.countLines(), [2]bool{}
		trees = append(trees, t)
	}
	return trees
}

// valueChanges are the addresses at which the value changes, in order.
type valueChanges struct {
	first bool // the value of the lowest address
	at    []netip.Addr
}

// valueAt returns the value of an address.
func (e valueChanges) valueAt(a netip.Addr) bool {
	n, found := slices.BinarySearchFunc(e.at, a, netip.Addr.Compare)
	if found {
		n++
	}
	return e.first != (n%2 == 1)
}

// groupBits returns how many bits a level has.
func groupBits(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 16
}

// buildTree returns the tree of a network, divided as far as its parts have more than one value.
func (e valueChanges) buildTree(p netip.Prefix) *octetTree {
	n := &octetTree{prefix: p}
	from, _ := slices.BinarySearchFunc(e.at, p.Addr(), netip.Addr.Compare)
	to, last := slices.BinarySearchFunc(e.at, netipx.PrefixLastIP(p), netip.Addr.Compare)
	if last {
		to++
	}
	// Between two cuts are networks with one value, or one network that is divided.
	var cuts []int
	size := groupBits(p.Addr())
	divided := map[int]bool{}
	for _, at := range e.at[from:to] {
		i := groupAt(at, p.Bits()/size)
		cuts = append(cuts, i)
		if at != childNetwork(p, i).Addr() {
			divided[i] = true
			cuts = append(cuts, i+1)
		}
	}
	cuts = append(cuts, 0, 1<<size)
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for k, i := range cuts[:len(cuts)-1] {
		part := treePart{first: childNetwork(p, i), count: cuts[k+1] - i}
		if divided[i] {
			part.divided = e.buildTree(part.first)
		} else {
			part.value = e.valueAt(part.first.Addr())
		}
		n.parts = append(n.parts, part)
	}
	n.cost = n.countLines()
	for around := range n.cost {
		if other := n.countLines()[1-around] + 1; other < n.cost[around] {
			n.cost[around], n.flips[around] = other, true
		}
	}
	return n
}

// countLines returns how many lines the parts take if the network itself has the value false, or true.
func (n *octetTree) countLines() (lines [2]int) {
	for _, p := range n.parts {
		switch {
		case p.divided != nil:
			lines[0] += p.divided.cost[0]
			lines[1] += p.divided.cost[1]
		default:
			lines[boolIndex(!p.value)] += p.count
		}
	}
	return lines
}

// visitLines calls line for each line that the network takes, if the network around it has the value around.
func (n *octetTree) visitLines(around bool, line func(key string, value bool)) {
	if n.flips[boolIndex(around)] {
		around = !around
		line(formatKey(n.prefix), around)
	}
	for _, p := range n.parts {
		if p.divided != nil {
			p.divided.visitLines(around, line)
			continue
		}
		if p.value == around {
			continue
		}
		size := groupBits(p.first.Addr())
		level := p.first.Bits()/size - 1
		around := netip.PrefixFrom(p.first.Addr(), p.first.Bits()-size).Masked()
		for i := range p.count {
			line(formatKey(childNetwork(around, groupAt(p.first.Addr(), level)+i)), p.value)
		}
	}
}

// groupAt returns the octet, or group of 16 bits, of an address at a level, from 0.
func groupAt(a netip.Addr, level int) int {
	b := a.AsSlice()
	if a.Is4() {
		return int(b[level])
	}
	return int(b[2*level])<<8 | int(b[2*level+1])
}

// childNetwork returns network i on the level below p.
func childNetwork(p netip.Prefix, i int) netip.Prefix {
	size := groupBits(p.Addr())
	b := p.Addr().AsSlice()
	if level := p.Bits() / size; size == 8 {
		b[level] = byte(i)
	} else {
		b[2*level], b[2*level+1] = byte(i>>8), byte(i)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits()+size)
}

// formatKey returns a network as Sendmail spells it: 192.0.2, IPv6:2001:db8:0.
func formatKey(p netip.Prefix) string {
	var groups []string
	size := groupBits(p.Addr())
	for level := range p.Bits() / size {
		groups = append(groups, strconv.FormatInt(int64(groupAt(p.Addr(), level)), map[int]int{8: 10, 16: 16}[size]))
	}
	if size == 8 {
		return strings.Join(groups, ".")
	}
	return "IPv6:" + strings.Join(groups, ":")
}
