package dnsbl

import (
	"io"
	"iter"
	"net/netip"

	"github.com/sirupsen/logrus"
)

// offline returns a service as it is while no server answers and nothing is
// remembered: one that never runs.
func (s *Client) offline() *Client {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return New(Options{CacheEntries: 1}, nil, s.clock, log)
}

// Offline returns the source as it is while no server answers: what it says of
// a client it says of every client between two Boundaries.
func (s *List) Offline() *List { return s.service.offline().List(s.spec) }

// Boundaries returns the addresses at which the answer may change while no server
// answers, in no order.
func (s *List) Boundaries() iter.Seq[netip.Addr] { return private.bounds() }

// Offline is as with Source.
func (n *ReverseDNS) Offline() *ReverseDNS { return n.service.offline().Names() }

// Boundaries is as with Source.
func (n *ReverseDNS) Boundaries() iter.Seq[netip.Addr] { return nameless.bounds() }
