package feed

import "net/netip"

// prefixes is a set of prefixes.
type prefixes struct {
	seen    map[netip.Prefix]struct{}
	lengths [129]bool // of them
}

// add returns false if p is within a prefix of the set.
func (s *prefixes) add(p netip.Prefix) bool {
	for n := range p.Bits() + 1 {
		if s.lengths[n] {
			wider, _ := p.Addr().Prefix(n)
			if _, ok := s.seen[wider]; ok {
				return false
			}
		}
	}
	if s.seen == nil {
		s.seen = make(map[netip.Prefix]struct{})
	}
	s.seen[p], s.lengths[p.Bits()] = struct{}{}, true
	return true
}
