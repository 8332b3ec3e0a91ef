package dnsbl

import (
	"iter"
	"net/netip"
)

// Offline returns the list as it is while no server answers and nothing is cached: what it says of a client it says of all
// clients between two Boundaries.
func (l *List) Offline() *List { return New(l.client.cache.Offline(), nil).List(l.spec) }

// Boundaries returns the addresses at which the answer can change while no server answers, in no order.
func (l *List) Boundaries() iter.Seq[netip.Addr] { return special.Boundaries() }
