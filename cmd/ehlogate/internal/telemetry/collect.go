package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"ehlogate/cmd/ehlogate/internal/reload"
	"ehlogate/lists"
	"ehlogate/lists/tlspolicy"
)

// backgroundCollector reads, when it is asked, how all that does that is not in files.
type backgroundCollector struct{ e *reload.Manager }

var (
	zoneTrusted   = desc("ehlogate_dns_zone_enabled", "1: the zone is believed and asked about clients; 0: it is not, and /api/v1/reputation says why. Reverse DNS is by=\"reverse\".", "zone", "by")
	zoneQuestions = desc("ehlogate_dns_queries_total", "Questions about clients that were sent, by what came back.", "zone", "by", "result")
	zoneLookups   = desc("ehlogate_dns_cache_lookups_total", "Looked for in memory: hit, miss, or stale (too old, and used for want of better).", "zone", "by", "result")
	zoneListed    = desc("ehlogate_dns_listed_total", "Answers that list a client, or names that were verified.", "zone", "by")
	dnsInFlight   = desc("ehlogate_dns_in_flight", "Questions about clients that are under way.")
	dnsRefused    = desc("ehlogate_dns_rejected_total", "Questions not asked, because max_lookups were under way.")
	dnsEntries    = desc("ehlogate_dns_cache_entries", "Answers in memory.")
	guardHolds    = desc("ehlogate_guard_active", "1: a domain promised STARTTLS, or may have, and only own list files suppress.")
	guardDomain   = desc("ehlogate_guard_committed", "1: this domain promised STARTTLS, or may have.", "domain", "mta_sts", "dane")
	shedSessions  = desc("ehlogate_limit_sessions_total", "Sessions of clients on no list, with default = \"limit\".", "action")
	shedding      = desc("ehlogate_limit_exhausted", "1: an unknown client that comes now is not offered STARTTLS.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func gauge(d *prometheus.Desc, is bool, labels ...string) prometheus.Metric {
	v := 0.0
	if is {
		v = 1
	}
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// Describe tells nothing, so that what a config has no use for may be absent.
func (backgroundCollector) Describe(chan<- *prometheus.Desc) {}

func (c backgroundCollector) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	live := c.e.Snapshot()
	if s := live.DNS(); s != nil {
		st := s.Stats()
		origins := st.Zones
		if st.Names != nil {
			origins = append(origins, *st.Names)
		}
		for _, o := range origins {
			by := "address"
			switch {
			case o.Zone == "":
				by = "reverse"
			case o.ByName:
				by = "name"
			}
			if o.NoHealthCheck { // the same zone may be tested for another list
				by += "-untested"
			}
			ch <- gauge(zoneTrusted, o.State == "closed", o.Zone, by)
			count(zoneQuestions, o.Answered, o.Zone, by, "answered")
			for kind, n := range o.Failed {
				count(zoneQuestions, n, o.Zone, by, kind)
			}
			count(zoneLookups, o.Hits, o.Zone, by, "hit")
			count(zoneLookups, o.Misses, o.Zone, by, "miss")
			count(zoneLookups, o.Stale, o.Zone, by, "stale")
			count(zoneListed, o.Listed, o.Zone, by)
		}
		ch <- prometheus.MustNewConstMetric(dnsInFlight, prometheus.GaugeValue, float64(st.InFlight))
		ch <- prometheus.MustNewConstMetric(dnsEntries, prometheus.GaugeValue, float64(st.Entries))
		count(dnsRefused, st.Rejected)
	}
	if g := live.Guard(); g != nil {
		st := g.Report()
		ch <- gauge(guardHolds, st.Active)
		for _, d := range st.Domains {
			ch <- gauge(guardDomain, d.Commitment != tlspolicy.NoCommitment, d.Name, string(d.MTASTS.State), string(d.DANE.State))
		}
	}
	if s := live.Limiter(); s != nil {
		st := s.Stats()
		count(shedSessions, st.Offered, lists.Offer.String())
		count(shedSessions, st.Suppressed, lists.Suppress.String())
		ch <- gauge(shedding, st.Exhausted)
	}
}
