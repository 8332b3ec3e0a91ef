package logs

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists/maillog"
)

// FailingClass is one way in which TLS fails, with the clients that are remembered.
type FailingClass struct {
	Class   maillog.Class
	Outcome maillog.Outcome // what the last failure means
	Clients int
	Count   uint64 // failures
	Last    time.Time
	Top     []FailingClient // those that failed most often
}

// FailingClient is a client in a FailingClass.
type FailingClient struct {
	Addr   netip.Addr
	Name   string // that the mail server verified
	Count  uint32
	Last   time.Time
	Worked bool // TLS worked with it, before or since
}

// Failing returns the ways in which TLS failed, that of most clients first, each with so many clients.
func (s *Service) Failing(top int) []FailingClass {
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	found := map[maillog.Class]*FailingClass{}
	addrs, clients := t.clients.Keys(), t.clients.Values() // in the same order
	for i, c := range clients {
		for _, f := range c.failures {
			class := found[f.class]
			if class == nil {
				class = &FailingClass{Class: f.class}
				found[f.class] = class
			}
			class.add(FailingClient{addrs[i], c.name, f.count, unixTime(f.last), c.lastTLS > 0}, f.outcome, top)
		}
	}
	all := make([]FailingClass, 0, len(found))
	for _, class := range found {
		all = append(all, *class)
	}
	slices.SortFunc(all, func(a, b FailingClass) int {
		return cmp.Or(cmp.Compare(b.Clients, a.Clients), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class.String(), b.Class.String()))
	})
	return all
}

func (f *FailingClass) add(c FailingClient, outcome maillog.Outcome, top int) {
	f.Clients++
	f.Count += uint64(c.Count)
	if !c.Last.Before(f.Last) {
		f.Last, f.Outcome = c.Last, outcome
	}
	if len(f.Top) == top {
		if f.Top[top-1].Count >= c.Count {
			return
		}
		f.Top = f.Top[:top-1]
	}
	at, _ := slices.BinarySearchFunc(f.Top, c, func(a, b FailingClient) int { return cmp.Or(cmp.Compare(b.Count, a.Count), -1) })
	f.Top = slices.Insert(f.Top, at, c)
}
