package export

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
)

// octets is a network as a table sees it that knows addresses by whole octets,
// or groups of 16 bits in IPv6: what stands for the longest part of an address
// decides. There are two values, and what is in no line has that of the network
// around it.
type octets struct {
	prefix netip.Prefix
	parts  []octetPart
	// cost is how many lines it takes where false, or true, is what the network
	// around it has; flips tells whether the first of them is about itself.
	cost  [2]int
	flips [2]bool
}

// octetPart is a run of networks on the next level: with one value, or one that
// is divided further.
type octetPart struct {
	first   netip.Prefix
	count   int
	value   bool
	divided *octets
}

// octetTrees makes the trees of IPv4 and IPv6, true being the value of what lies
// in the ranges. These are in order, and no two of them touch.
func octetTrees(ranges []netipx.IPRange) []*octets {
	var trees []*octets
	for _, zero := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		e := edges{}
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
		t := e.tree(netip.PrefixFrom(zero, 0))
		// Nothing can be said about all of a family, but by what holds for both.
		t.cost, t.flips = t.lines(), [2]bool{}
		trees = append(trees, t)
	}
	return trees
}

// edges is where the value changes, in order.
type edges struct {
	first bool // the value of the lowest address
	at    []netip.Addr
}

// value is that of an address.
func (e edges) value(a netip.Addr) bool {
	n, found := slices.BinarySearchFunc(e.at, a, netip.Addr.Compare)
	if found {
		n++
	}
	return e.first != (n%2 == 1)
}

// step is how many bits a level takes.
func step(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 16
}

// tree looks at the network p, and at all in it that has more than one value.
func (e edges) tree(p netip.Prefix) *octets {
	n := &octets{prefix: p}
	from, _ := slices.BinarySearchFunc(e.at, p.Addr(), netip.Addr.Compare)
	to, last := slices.BinarySearchFunc(e.at, netipx.PrefixLastIP(p), netip.Addr.Compare)
	if last {
		to++
	}
	// Between two cuts lie networks with one value, or one that is divided.
	var cuts []int
	size := step(p.Addr())
	divided := map[int]bool{}
	for _, at := range e.at[from:to] {
		i := group(at, p.Bits()/size)
		cuts = append(cuts, i)
		if at != child(p, i).Addr() {
			divided[i] = true
			cuts = append(cuts, i+1)
		}
	}
	cuts = append(cuts, 0, 1<<size)
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for k, i := range cuts[:len(cuts)-1] {
		part := octetPart{first: child(p, i), count: cuts[k+1] - i}
		if divided[i] {
			part.divided = e.tree(part.first)
		} else {
			part.value = e.value(part.first.Addr())
		}
		n.parts = append(n.parts, part)
	}
	n.cost = n.lines()
	for around := range n.cost {
		if other := n.lines()[1-around] + 1; other < n.cost[around] {
			n.cost[around], n.flips[around] = other, true
		}
	}
	return n
}

// lines counts those of all parts, if the network itself has the value false, or
// true.
func (n *octets) lines() (lines [2]int) {
	for _, p := range n.parts {
		switch {
		case p.divided != nil:
			lines[0] += p.divided.cost[0]
			lines[1] += p.divided.cost[1]
		default:
			lines[index(!p.value)] += p.count
		}
	}
	return lines
}

// walk calls line for each line that is needed where around is the value of the
// network around it.
func (n *octets) walk(around bool, line func(key string, value bool)) {
	if n.flips[index(around)] {
		around = !around
		line(octetKey(n.prefix), around)
	}
	for _, p := range n.parts {
		if p.divided != nil {
			p.divided.walk(around, line)
			continue
		}
		if p.value == around {
			continue
		}
		size := step(p.first.Addr())
		level := p.first.Bits()/size - 1
		around := netip.PrefixFrom(p.first.Addr(), p.first.Bits()-size).Masked()
		for i := range p.count {
			line(octetKey(child(around, group(p.first.Addr(), level)+i)), p.value)
		}
	}
}

// group is the octet, or group of 16 bits, of an address on a level, from 0.
func group(a netip.Addr, level int) int {
	b := a.AsSlice()
	if a.Is4() {
		return int(b[level])
	}
	return int(b[2*level])<<8 | int(b[2*level+1])
}

// child is network i on the level below p.
func child(p netip.Prefix, i int) netip.Prefix {
	size := step(p.Addr())
	b := p.Addr().AsSlice()
	if level := p.Bits() / size; size == 8 {
		b[level] = byte(i)
	} else {
		b[2*level], b[2*level+1] = byte(i>>8), byte(i)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits()+size)
}

// octetKey spells a network as Sendmail does: 192.0.2, IPv6:2001:db8:0.
func octetKey(p netip.Prefix) string {
	var groups []string
	size := step(p.Addr())
	for level := range p.Bits() / size {
		groups = append(groups, strconv.FormatInt(int64(group(p.Addr(), level)), map[int]int{8: 10, 16: 16}[size]))
	}
	if size == 8 {
		return strings.Join(groups, ".")
	}
	return "IPv6:" + strings.Join(groups, ":")
}
