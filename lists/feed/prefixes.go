package feed

import "net/netip"

// prefixes is a set of prefixes, by their length. For tables of millions of rules it takes 8 to 13 bytes for an IPv4
// prefix; keyed by netip.Prefix it would take five times as much.
type prefixes struct {
	v4 [33]map[[4]byte]struct{}
	v6 [129]map[[16]byte]struct{}
}

// add returns false if p, which is masked, is within a prefix of the set.
func (s *prefixes) add(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return addPrefix(s.v4[:p.Bits()+1], p, netip.Addr.As4)
	}
	return addPrefix(s.v6[:p.Bits()+1], p, netip.Addr.As16)
}

// addPrefix adds p to the last of byLength, unless one of them has it or a prefix around it.
func addPrefix[K comparable](byLength []map[K]struct{}, p netip.Prefix, keyOf func(netip.Addr) K) bool {
	last := len(byLength) - 1
	for bits, known := range byLength[:last] {
		if len(known) == 0 {
			continue
		}
		around, _ := p.Addr().Prefix(bits)
		if _, ok := known[keyOf(around.Addr())]; ok {
			return false
		}
	}
	own := byLength[last]
	if own == nil {
		own = make(map[K]struct{})
		byLength[last] = own
	}
	before := len(own) // one search, and not two
	own[keyOf(p.Addr())] = struct{}{}
	return len(own) > before
}
