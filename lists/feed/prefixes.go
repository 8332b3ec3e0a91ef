package feed

import "net/netip"

// prefixes is a set of prefixes, by their length. For tables of millions of rules it takes 7 bytes for an IPv4 prefix; keyed by
// netip.Prefix it would take five times as much.
type prefixes struct {
	v4 [33]*set[[4]byte]
	v6 [129]*set[[16]byte]
}

// add returns false if p, which is masked, is within a prefix of the set.
func (s *prefixes) add(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return addPrefix(s.v4[:p.Bits()+1], p, netip.Addr.As4, newSet4)
	}
	return addPrefix(s.v6[:p.Bits()+1], p, netip.Addr.As16, newSet16)
}

// addPrefix adds p to the last of byLength, unless one of them has it or a prefix around it.
func addPrefix[K comparable](byLength []*set[K], p netip.Prefix, keyOf func(netip.Addr) K, newSet func() *set[K]) bool {
	last := len(byLength) - 1
	for bits, known := range byLength[:last] {
		if known == nil {
			continue
		}
		if around, _ := p.Addr().Prefix(bits); known.has(keyOf(around.Addr())) {
			return false
		}
	}
	if byLength[last] == nil {
		byLength[last] = newSet()
	}
	return byLength[last].add(keyOf(p.Addr()))
}
