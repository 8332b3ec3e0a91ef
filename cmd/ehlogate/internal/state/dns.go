package state

import (
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/lists/dnsbl"
	"ehlogate/lists/dnscache"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/iprev"
)

// DNS is what queries DNS lists and host names of clients: both through one cache.
type DNS struct {
	cache    *dnscache.Cache
	resolver dnsclient.Resolver
	zones    *dnsbl.Client
	names    *iprev.Verifier // nil until a config verifies names
}

// DNSStats is the state of DNS.
type DNSStats struct {
	Zones []dnsbl.ZoneStats       `json:"zones"`           // by name
	Names *dnscache.UpstreamStats `json:"names,omitempty"` // nil: no names are verified
	dnscache.Stats
}

func newDNS(o dnscache.Options, r dnsclient.Resolver, clock func() time.Time, notify func(dnscache.Event)) *DNS {
	cache := dnscache.New(o, clock, notify)
	return &DNS{cache: cache, resolver: r, zones: dnsbl.New(cache, r)}
}

// withNames returns d with a verifier of names.
func (d *DNS) withNames() *DNS {
	if d.names != nil {
		return d
	}
	next := *d
	next.names = iprev.New(d.cache, d.resolver)
	return &next
}

// Stats returns the state of all zones, of reverse DNS and of the cache; of no DNS, nothing.
func (d *DNS) Stats() DNSStats {
	if d == nil {
		return DNSStats{}
	}
	st := DNSStats{Zones: d.zones.Stats(), Stats: d.cache.Stats()}
	if d.names != nil {
		st.Names = new(d.names.Stats())
	}
	return st
}

// logDNSEvents returns what logs the events of a DNS cache.
func logDNSEvents(log *logrus.Logger) func(dnscache.Event) {
	return func(e dnscache.Event) {
		upstream, log := "reverse DNS", logrus.NewEntry(log)
		if e.Upstream != "" {
			upstream, log = "zone "+e.Upstream, log.WithField("zone", e.Upstream)
		}
		switch e.Kind {
		case dnscache.Disabled:
			then := "clients count as unknown"
			if e.Stale > 0 {
				then = fmt.Sprintf("expired answers are used for up to %v, other clients count as unknown", e.Stale)
			}
			log.Warnf("%s disabled until its health check passes: %s; %s", upstream, e.Why, then)
		case dnscache.Enabled:
			log.Infof("%s enabled again after %v", upstream, e.After)
		case dnscache.Overloaded:
			log.Warnf("DNS queries dropped: max_lookups = %d queries are in flight, or %s has nearly all of them; "+
				"clients that are not in the cache count as unknown", e.Limit, upstream)
		default:
			log.Errorf("panic in a DNS query to %s, please report it: %s", upstream, e.Why)
		}
	}
}
