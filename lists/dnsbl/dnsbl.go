// Package dnsbl is the source of DNS lists (RFC 5782), such as list.dnswl.org.
//
// A [List] has zones, each with a filter for the answers that count and a weight. The list matches a client if at least one
// zone lists it and the sum of the weights reaches a threshold. While a zone is unknown the list is decided only if it would
// be decided the same way whatever that zone says.
//
// A zone is used only while it passes its health check ([CheckHealth]). One that does not answer, gives answers that no list
// gives, or lists all addresses, is disabled until it passes again. Answers are cached by package dnscache.
package dnsbl

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
)

// Client queries zones for all lists. It is safe for concurrent use.
type Client struct {
	cache    *dnscache.Cache
	resolver dnsclient.Resolver

	mu    sync.Mutex
	zones map[ZoneID]*zone
}

// New makes a client. Answers come from the cache alone until that runs.
func New(cache *dnscache.Cache, r dnsclient.Resolver) *Client {
	return &Client{cache: cache, resolver: r, zones: make(map[ZoneID]*zone)}
}

// List makes a list. Lists that name the same zone share its answers and health; zones differ if one is queried by name and
// one by address, or one has NoHealthCheck. Zones stay until the next Retain.
func (c *Client) List(spec Spec) *List {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &List{client: c, spec: spec, matches: make(map[string]*matched)}
	for _, z := range spec.Zones {
		id := z.ID()
		if c.zones[id] == nil {
			c.addZone(newZone(c, id))
		}
		m := member{Zone: z, zone: c.zones[id]}
		if m.Answer.Takes255() {
			m.zone.takes255.Store(true)
		}
		l.members = append(l.members, m)
		l.usesNames = l.usesNames || z.ByName
	}
	return l
}

func (c *Client) addZone(z *zone) {
	c.zones[z.ZoneID] = z
	c.cache.AddUpstream(z.Upstream)
}

// Retain forgets all zones that none of these lists uses. Other lists must not be used again, unless a later Retain names
// them.
func (c *Client) Retain(used []*List) {
	takes255 := make(map[*zone]bool) // of the zones in use
	for _, l := range used {
		for _, m := range l.members {
			takes255[m.zone] = takes255[m.zone] || m.Answer.Takes255()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var gone []*dnscache.Upstream
	for id, z := range c.zones {
		if _, ok := takes255[z]; !ok {
			delete(c.zones, id)
			gone = append(gone, z.Upstream)
		}
	}
	c.cache.RemoveUpstreams(gone...)
	for z, takes := range takes255 {
		z.takes255.Store(takes)
		if c.zones[z.ZoneID] == nil {
			c.addZone(z)
		}
	}
}

type ZoneStats struct {
	ZoneID
	dnscache.UpstreamStats
}

// Stats returns the state of all zones, by name.
func (c *Client) Stats() (out []ZoneStats) {
	c.mu.Lock()
	inOrder := func(a, b *zone) int { return strings.Compare(fmt.Sprint(a.ZoneID), fmt.Sprint(b.ZoneID)) }
	zones := slices.SortedFunc(maps.Values(c.zones), inOrder)
	c.mu.Unlock()
	for _, z := range zones {
		out = append(out, ZoneStats{z.ZoneID, z.Upstream.Stats()})
	}
	return out
}
