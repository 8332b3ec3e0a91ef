package dnsbl

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"ehlogate/lists/breaker"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsname"
)

const (
	// checkInterval is the pause between health checks, so that a zone that begins to list all addresses is found out within a
	// minute.
	checkInterval = 30 * time.Second
	// failureTTL is how long a failed query is remembered.
	failureTTL = 5 * time.Second
)

// zoneID is what two zones differ in: they are queried, or checked, in another way.
type zoneID struct {
	name                  string // as by lists.NormalizeName
	byName, noHealthCheck bool
}

func (id zoneID) compare(other zoneID) int {
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(strings.Compare(id.name, other.name),
		number(id.byName)-number(other.byName), number(id.noHealthCheck)-number(other.noHealthCheck))
}

// zone is a DNS zone that has a list.
type zone struct {
	zoneID
	*dnscache.Upstream
	client   *Client
	takes255 atomic.Bool // of some list: 127.0.0.255 is no error code
}

func newZone(c *Client, id zoneID) *zone {
	z := &zone{zoneID: id, client: c}
	o := dnscache.UpstreamOptions{
		Name: id.name, Query: z.queryListing, FailureTTL: failureTTL,
		Valid:      func(k dnscache.Key) bool { _, ok := z.question(&k); return ok },
		ChecksIPv6: !id.byName && !id.noHealthCheck,
		Breaker:    breaker.Options{Check: z.checkHealth},
	}
	if !id.noHealthCheck {
		o.Breaker.Interval = cmp.Or(c.cache.Options().CheckInterval, checkInterval)
	}
	z.Upstream = c.cache.NewUpstream(o)
	return z
}

// question returns the domain name of k in the zone, and whether there can be one: a host name can be too long for that, or
// invalid.
func (z *zone) question(k *dnscache.Key) (string, bool) {
	name, ok := "", true
	if !z.byName {
		name = dnsname.Reverse(k.Addr())
	} else if name, ok = dnsname.HostName(k.Name()); !ok {
		name = strconv.Quote(k.Name())
	}
	name += "." + z.name
	return name, ok && len(name) <= dnsname.MaxLength
}

// queryListing returns the answers of the zone about a client.
func (z *zone) queryListing(ctx context.Context, k *dnscache.Key) (answers string, ttl time.Duration, err error) {
	name, _ := z.question(k)
	answers, ttl, err = z.answerer(&z.Queries).query(ctx, name)
	if err == nil && answers != "" {
		z.CountPositive()
	}
	return answers, ttl, err
}

// checkHealth is the health check of the breaker.
func (z *zone) checkHealth(ctx context.Context) error {
	a := z.answerer(new(dnscache.QueryCounts))
	if z.noHealthCheck {
		return a.checkAnswers(ctx, z.zoneID)
	}
	failed, ipv6 := a.checkEntries(ctx, testEntries(z.zoneID), z.Protect)
	if !z.byName && !isBogus(failed) {
		z.CheckedIPv6(ipv6)
	}
	return failed
}

func (z *zone) answerer(counts *dnscache.QueryCounts) answerer {
	return answerer{resolver: z.client.resolver, counts: counts, takes255: z.takes255.Load}
}
