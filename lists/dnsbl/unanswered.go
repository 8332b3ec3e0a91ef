package dnsbl

import (
	"io"
	"iter"
	"net/netip"

	"github.com/sirupsen/logrus"
)

// unanswered returns a service as it is while no server answers and nothing is
// remembered: one that never runs.
func (s *Service) unanswered() *Service {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return New(Config{CacheEntries: 1}, nil, s.clock, log)
}

// Unanswered returns the source as it is while no server answers: what it says of
// a client it says of every client between two Boundaries.
func (s *Source) Unanswered() *Source { return s.service.unanswered().Source(s.spec) }

// Boundaries returns the addresses at which the answer may change while no server
// answers, in no order.
func (s *Source) Boundaries() iter.Seq[netip.Addr] { return private.bounds() }

// Unanswered is as with Source.
func (n *Names) Unanswered() *Names { return n.service.unanswered().Names() }

// Boundaries is as with Source.
func (n *Names) Boundaries() iter.Seq[netip.Addr] { return nameless.bounds() }
