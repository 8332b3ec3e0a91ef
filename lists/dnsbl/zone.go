package dnsbl

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/secret"
)

const (
	// checkInterval is the pause between health checks, so that a zone that begins to list all addresses is found out within a
	// minute.
	checkInterval = 30 * time.Second
	// failureTTL is how long a failed query is remembered.
	failureTTL = 5 * time.Second
)

// ZoneID is what two zones differ in: they are queried, or checked, in another way.
type ZoneID struct {
	Zone          secret.Text `json:"zone,omitzero"` // of NewDomain
	ByName        bool        `json:"by_name,omitempty"`
	NoHealthCheck bool        `json:"no_health_check,omitempty"`
}

// zone is a DNS zone that has a list.
type zone struct {
	ZoneID
	*dnscache.Upstream
	client   *Client
	takes255 atomic.Bool // of some list: 127.0.0.255 is no error code
}

func newZone(c *Client, id ZoneID) *zone {
	z := &zone{ZoneID: id, client: c}
	o := dnscache.UpstreamOptions{
		Name: id.Zone.String(), Resolver: c.resolver, Query: z.queryListing, FailureTTL: failureTTL,
		Valid:   func(k dnscache.Key) bool { _, ok := z.question(k); return ok },
		Breaker: breaker.Options{Check: z.checkHealth},
	}
	if !id.NoHealthCheck {
		o.Breaker.Interval = checkInterval
	}
	z.Upstream = c.cache.NewUpstream(o)
	return z
}

// question returns k as it is written in front of the zone, and whether it can be queried: a host name can be too long for
// that, or invalid.
func (z *zone) question(k dnscache.Key) (string, bool) {
	name, ok := "", true
	if !z.ByName {
		name = dnsclient.ReverseAddr(k.Addr)
	} else if name, ok = lists.ParseHostName(k.Name); !ok {
		name = strconv.Quote(k.Name)
	}
	return name, ok && len(z.domainOf(name)) <= lists.MaxNameLength
}

// domainOf returns the domain name of a question in the zone. Only queries have it: what is shown has show.
func (z *zone) domainOf(question string) string { return question + "." + z.Zone.Reveal() }

// show returns what is shown in place of the domain name of a question.
func (z *zone) show(question string) string { return question + "." + z.Zone.String() }

// queryListing returns the answers of the zone about a client.
func (z *zone) queryListing(ctx context.Context, k dnscache.Key) (answers string, ttl time.Duration, err error) {
	name, _ := z.question(k)
	return z.query(ctx, z.Upstream, name)
}
