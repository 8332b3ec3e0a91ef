// Package dns is the source of lists that are asked by DNS (RFC 5782), such as
// list.dnswl.org, and finds out the verified host names of clients.
//
// A [Service] asks and remembers. Its sources and names answer from memory if
// they can; if not, they begin to ask beside, and whoever may wait waits for
// that. Nothing is guessed:
//
//   - A zone is believed only while it passes its self-test. One that does not
//     answer, that says what no list says, or that holds everybody, is not asked
//     about clients until it passes again.
//   - An answer counts for as long as its TTL says. After that it is asked anew,
//     and only if that fails, or takes longer than the one who asks may wait, the
//     old one counts, for up to Config.Stale (as in RFC 8767).
//   - Where there is neither, the zone is unknown; a list is then decided only if
//     it would be decided the same way whatever the zone said.
//
// What can be in flight and in memory is bounded, whatever clients come.
package dnsbl

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists"
	"ehlogate/lists/dnsclient"
)

// Options bounds what a Service does.
type Options struct {
	// MaxLookups is how many questions about clients are in flight at most. A
	// zone that is slow gets no more of them than it leaves to all others.
	MaxLookups int
	// CacheEntries is how many answers are remembered at most, of all zones and
	// of names; about 300 bytes each.
	CacheEntries int
	// MinTTL and MaxTTL are for how long an answer counts at least and at most,
	// whatever its own TTL. Less than a second counts as a second.
	MinTTL, MaxTTL time.Duration
	// Stale is for how long after its end an answer counts where it cannot be
	// renewed; 0: not at all.
	Stale time.Duration
}

// Defaults bounds 1000 lookups, which is more than a resolver with a cold cache
// likes, 100,000 entries (30 MB), TTLs from 30 s to an hour (a client that was
// taken off a list is not held much longer), and keeps what is stale for a day.
func Defaults() Options {
	return Options{MaxLookups: 1000, CacheEntries: 100_000, MinTTL: 30 * time.Second, MaxTTL: time.Hour, Stale: 24 * time.Hour}
}

// usable fills in what is missing.
func (c Options) usable() Options {
	d := Defaults()
	if c.MaxLookups <= 0 {
		c.MaxLookups = d.MaxLookups
	}
	if c.CacheEntries <= 0 {
		c.CacheEntries = d.CacheEntries
	}
	if c.MaxTTL <= 0 {
		c.MaxTTL = d.MaxTTL
	}
	c.MinTTL = max(c.MinTTL, time.Second)
	c.MaxTTL = max(c.MaxTTL, c.MinTTL)
	c.Stale = max(c.Stale, 0)
	return c
}

// Client asks zones and reverse DNS for all sources, and remembers what they
// said. It is safe for concurrent use.
type Client struct {
	config Options
	asker  dnsclient.Resolver
	clock  func() time.Time
	start  time.Time
	log    logrus.FieldLogger
	memory *cache

	inFlight  atomic.Int64
	refused   atomic.Uint64 // questions, because of MaxLookups
	lamented  atomic.Int64  // when that was logged last
	origins   atomic.Int32  // that share MaxLookups
	goroutine sync.WaitGroup

	mu     sync.RWMutex
	ctx    context.Context // of Run; nil: does not run
	zones  map[zoneID]*zone
	names  *ReverseDNS
	lastID uint32
}

// New makes a service that asks through ask once it runs. clock says how old
// answers are; it is time.Now as a rule.
func New(cfg Options, ask dnsclient.Resolver, clock func() time.Time, log logrus.FieldLogger) *Client {
	cfg = cfg.usable()
	return &Client{
		config: cfg, asker: ask, clock: clock, start: clock(), log: log,
		memory: newCache(cfg.CacheEntries), zones: make(map[zoneID]*zone),
	}
}

// now is in ns since start.
func (s *Client) now() int64 { return int64(s.clock().Sub(s.start)) }

// Run tests zones and lets questions be asked until ctx ends. It returns when
// all that it began has ended, too. Without it answers come from memory only.
func (s *Client) Run(ctx context.Context) {
	s.mu.Lock()
	s.ctx = ctx
	for _, z := range s.zones {
		s.watch(&z.upstream)
	}
	if s.names != nil {
		s.watch(&s.names.upstream)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.ctx = nil
	s.mu.Unlock()
	s.goroutine.Wait()
}

// List makes a source of spec. Sources that name the same zone share what it
// said and whether it is believed; zones differ if one is asked by name and one
// by address, or one is Untested. Zones stay until the next Retain.
func (s *Client) List(spec Spec) *List {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := &List{service: s, spec: spec}
	for _, z := range spec.Zones {
		id := zoneID{lists.NormalizeName(z.Name), z.ByName, z.NoHealthCheck}
		if s.zones[id] == nil {
			s.add(newZone(s, id))
		}
		m := member{Zone: z, zone: s.zones[id]}
		if m.Answer.lists255() {
			m.zone.lists255.Store(true)
		}
		src.members = append(src.members, m)
	}
	return src
}

// add is called with mu held, for a zone that is new, or was forgotten.
func (s *Client) add(z *zone) {
	s.zones[z.zoneID] = z
	if z.every > 0 {
		z.trust.Store(uint32(halfOpen))
	}
	s.origins.Add(1)
	if s.ctx != nil {
		s.watch(&z.upstream)
	}
}

// Retain forgets all zones that none of sources uses. A source that is left out
// is not to be asked again, unless a later Retain names it.
func (s *Client) Retain(sources []*List) {
	used, listing := make(map[zoneID]*zone), make(map[zoneID]bool)
	for _, src := range sources {
		for _, m := range src.members {
			id := m.zone.zoneID
			used[id] = m.zone
			listing[id] = listing[id] || m.Answer.lists255()
		}
	}
	gone := make(map[uint32]bool)
	s.mu.Lock()
	for id, z := range s.zones {
		if used[id] != z {
			delete(s.zones, id)
			s.origins.Add(-1)
			z.stop()
			gone[z.id] = true
		}
	}
	for id, z := range used {
		z.lists255.Store(listing[id])
		if s.zones[id] == nil {
			s.add(z)
		}
	}
	s.mu.Unlock()
	if len(gone) > 0 {
		s.memory.drop(func(k *key, _ *entry) bool { return gone[k.of] })
	}
}

// Names are the verified host names of clients, as the service finds them out.
func (s *Client) Names() *ReverseDNS {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = newNames(s)
		s.origins.Add(1)
		if s.ctx != nil {
			s.watch(&s.names.upstream)
		}
	}
	return s.names
}

// all gives the zones in the order of their names.
func (s *Client) all() ([]*zone, *ReverseDNS) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.zones), func(a, b *zone) int { return a.zoneID.compare(b.zoneID) }), s.names
}
