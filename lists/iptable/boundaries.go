package iptable

import (
	"iter"
	"net/netip"
)

// MergeBoundaries returns the addresses of sequences that are sorted, in order, each once. To take an address from the first
// sequence costs least, so that ought to be the longest.
func MergeBoundaries(all []iter.Seq[netip.Addr]) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		if len(all) == 0 {
			return
		}
		m := newMerger(all[1:])
		defer m.stop()
		for a := range all[0] {
			for m.least.IsValid() && m.least.Less(a) {
				if !yield(m.least) {
					return
				}
				m.advance()
			}
			if m.least == a {
				m.advance()
			}
			if !yield(a) {
				return
			}
		}
		for m.least.IsValid() {
			if !yield(m.least) {
				return
			}
			m.advance()
		}
	}
}

// merger takes addresses from several sequences, the least one first.
type merger struct {
	least   netip.Addr // of all heads; not valid: there is none. IPv4 is less than IPv6
	sources []pulled
}

// pulled is a sequence of which the next address is known.
type pulled struct {
	head netip.Addr // not valid: there is none
	next func() (netip.Addr, bool)
	stop func()
}

func newMerger(all []iter.Seq[netip.Addr]) *merger {
	m := new(merger)
	for _, addrs := range all {
		next, stop := iter.Pull(addrs)
		head, _ := next()
		m.sources = append(m.sources, pulled{head, next, stop})
	}
	m.findLeast()
	return m
}

func (m *merger) findLeast() {
	m.least = netip.Addr{}
	for _, s := range m.sources {
		if s.head.IsValid() && (!m.least.IsValid() || s.head.Less(m.least)) {
			m.least = s.head
		}
	}
}

// advance goes to the address behind the least one.
func (m *merger) advance() {
	for i := range m.sources {
		if s := &m.sources[i]; s.head == m.least {
			s.head, _ = s.next()
		}
	}
	m.findLeast()
}

func (m *merger) stop() {
	for _, s := range m.sources {
		s.stop()
	}
}
