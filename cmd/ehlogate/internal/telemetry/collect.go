package telemetry

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/tlspolicy"
)

var (
	listEntries     = newDesc("ehlogate_list_entries", "Entries of the list in use, without exceptions.", "list")
	listLoaded      = newDesc("ehlogate_list_loaded_timestamp_seconds", "Time at which the list in use was loaded; 0: never.", "list")
	listFailed      = newDesc("ehlogate_list_reload_failures_total", "Failed loads of the list.", "list")
	listSkipped     = newDesc("ehlogate_list_skipped_lines", "Lines of a feed that have no effect: invalid ones, or such as match no client.", "list")
	listExpired     = newDesc("ehlogate_list_expired", "1: the files of the list are older than expire_after, and it is unavailable.", "list")
	listDegraded    = newDesc("ehlogate_list_degraded", "1: the last edit of the list was refused, or its files cannot be read; the list is in use as it was.", "list")
	listUnavailable = newDesc("ehlogate_list_unavailable", "1: the list was never loaded, has expired, or a zone of it or reverse DNS is disabled.", "list")
	listFault       = newDesc("ehlogate_list_fault_timestamp_seconds", "Time since which the list is degraded or unavailable; 0: it is neither.", "list")
	confFailed      = newDesc("ehlogate_config_reload_failures_total", "Failed reloads of the config.")
	confDegraded    = newDesc("ehlogate_config_degraded", "1: the last edit of the config was refused; the config is in use as it was.")
	confFault       = newDesc("ehlogate_config_fault_timestamp_seconds", "Time since which the config is degraded; 0: it is not.")

	zoneEnabled     = newDesc("ehlogate_dns_zone_enabled", "1: the zone passed its health check and is queried; 0: disabled, /api/v1/reputation has the reason. by=\"reverse\" is reverse DNS.", "zone", "by")
	zoneQueries     = newDesc("ehlogate_dns_queries_total", "DNS queries sent about clients, by result.", "zone", "by", "result")
	zoneLookups     = newDesc("ehlogate_dns_cache_lookups_total", "Lookups in the DNS cache: hit, miss, or stale (expired, used because no new answer came).", "zone", "by", "result")
	zoneListed      = newDesc("ehlogate_dns_listed_total", "Answers that list a client; of reverse DNS, verified names.", "zone", "by")
	dnsInFlight     = newDesc("ehlogate_dns_in_flight", "DNS queries about clients in flight.")
	dnsRejected     = newDesc("ehlogate_dns_rejected_total", "DNS queries not sent, because max_lookups were in flight.")
	dnsEntries      = newDesc("ehlogate_dns_cache_entries", "Answers in the DNS cache.")
	guardActive     = newDesc("ehlogate_guard_active", "1: a domain served here published MTA-STS or DANE, or may have; only your own list files suppress.")
	guardCommitted  = newDesc("ehlogate_guard_committed", "1: this domain published MTA-STS in mode enforce or DANE, or may have; 0: it did not.", "domain", "mta_sts", "dane")
	limitSessions   = newDesc("ehlogate_limit_sessions_total", "Sessions of clients that are on no list, with default = \"limit\", by action.", "action")
	tlsFailures     = newDesc("ehlogate_client_tls_failures_total", "Sessions on port 25 in which TLS failed, as the logs of [logs] tell, by reason.", "class", "mta")
	logSessions     = newDesc("ehlogate_client_sessions_total", "Sessions on port 25, as the logs of [logs] tell, by what became of TLS and of mail.", "mta", "tls", "mail")
	logClients      = newDesc("ehlogate_log_clients", "Clients that are remembered from the logs of [logs].")
	logLines        = newDesc("ehlogate_log_lines_total", "Lines read of a log of [logs].", "source")
	logUnread       = newDesc("ehlogate_log_unread_lines_total", "Lines of a log of [logs] that were not understood, are not certain to be about one client, or came faster than they were read.", "source")
	logLag          = newDesc("ehlogate_log_lag_seconds", "For how long lines of a log of [logs] may have waited to be read; 0: all are.", "source")
	logDegraded     = newDesc("ehlogate_log_degraded", "1: a log of [logs] cannot be read; no decision depends on it, but what lists learn.", "source")
	learnedClients  = newDesc("ehlogate_learned_clients", "Clients that a list learned; fallback lists have one number.", "list")
	learnedEnforced = newDesc("ehlogate_learned_enforced", "1: the list that learns takes effect; 0: it observes, by its mode or since logs have not been followed for long enough.", "list")
	learnedFollowed = newDesc("ehlogate_learned_followed_seconds", "For how long logs have been followed in all, for lists that learn.")
	learnedEvents   = newDesc("ehlogate_learned_events_total", "What happened to lists that learn, by kind.", "kind")
	learnedDropped  = newDesc("ehlogate_learned_dropped_sessions_total", "Sessions that lists did not learn from, since there were too many or the store failed.")
	learnedBreaker  = newDesc("ehlogate_learned_breaker_open", "1: fallback lists learn nothing at present, since this server may be at fault.")
	learnedDegraded = newDesc("ehlogate_learned_degraded", "1: lists learn nothing at present, what was learned before is lost, or [learn] never cannot be read; /healthz has the reason.")
	learnedBytes    = newDesc("ehlogate_learned_store_bytes", "Size of the file that keeps what was learned.")
	reportSessions  = newDesc("ehlogate_tlsrpt_sessions", "Sessions of the last week in which a sender kept its mail, as its TLS report says, since STARTTLS was hidden from its client; by the list that hides it, empty for the default.", "list")
	limitExhausted  = newDesc("ehlogate_limit_exhausted", "1: the limit is used up; a client that is on no list is not offered STARTTLS.")
	limitPressure   = newDesc("ehlogate_limit_pressure", "CPU pressure by which cpu_pressure sets the limit, from 0 to 1, averaged over about a second.")
	limitRate       = newDesc("ehlogate_limit_offers_per_second", "Offers of STARTTLS a second that cpu_pressure allows to clients on no list; +Inf: it sets no limit.")
	limitRefused    = newDesc("ehlogate_limit_refused_total", "Clients on no list from which STARTTLS was hidden because of cpu_pressure.")
	limitDegraded   = newDesc("ehlogate_limit_degraded", "1: the CPU pressure cannot be read, and cpu_pressure has no effect; /healthz has the reason.")
)

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

type metricSink chan<- prometheus.Metric

func (s metricSink) sendCount(d *prometheus.Desc, n uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (s metricSink) sendGauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s metricSink) sendBool(d *prometheus.Desc, is bool, labels ...string) {
	v := 0.0
	if is {
		v = 1
	}
	s.sendGauge(d, v, labels...)
}

// sendTime sends a time as Prometheus wants it, not an age: time() - v is right whenever the scrape was. 0 is none.
func (s metricSink) sendTime(d *prometheus.Desc, t time.Time, labels ...string) {
	v := 0.0
	if !t.IsZero() {
		v = float64(t.UnixNano()) / 1e9
	}
	s.sendGauge(d, v, labels...)
}

// stateCollector reads the state of lists, DNS, guard and limit at each scrape, so that a list which was removed leaves
// no metrics behind.
type stateCollector struct{ manager *state.Manager }

// Describe sends nothing, so that metrics of services that the config does not use may be missing.
func (stateCollector) Describe(chan<- *prometheus.Desc) {}

func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	out, snapshot := metricSink(ch), c.manager.Snapshot()
	var dns state.DNSStats
	if snapshot.DNS != nil {
		dns = snapshot.DNS.Stats()
		out.sendDNS(dns)
	}
	for i, l := range snapshot.Config.Lists {
		health := snapshot.ListHealth(i, dns)
		out.sendBool(listDegraded, health.IsDegraded(), l.Name)
		out.sendBool(listUnavailable, health.Unavailable, l.Name)
		out.sendTime(listFault, health.Since, l.Name)
	}
	for l, s := range snapshot.Files() {
		status := s.Status()
		out.sendGauge(listEntries, float64(status.Entries), l.Name)
		out.sendTime(listLoaded, status.Loaded, l.Name)
		out.sendCount(listFailed, status.Failures, l.Name)
		out.sendGauge(listSkipped, float64(status.Skipped.Total), l.Name)
		out.sendBool(listExpired, status.Expired, l.Name)
	}
	config := c.manager.ConfigHealth()
	out.sendCount(confFailed, c.manager.ReloadFailures())
	out.sendBool(confDegraded, config.IsDegraded())
	out.sendTime(confFault, config.Since)
	if guard := snapshot.Guard; guard != nil {
		report := guard.Report()
		out.sendBool(guardActive, report.Active)
		for _, d := range report.Domains {
			out.sendBool(guardCommitted, d.Commitment != tlspolicy.NoCommitment, d.Name, string(d.MTASTS.State), string(d.DANE.State))
		}
	}
	if limiter := snapshot.Limiter; limiter != nil {
		stats := limiter.Stats()
		out.sendCount(limitSessions, stats.Offered, lists.Offer.String())
		out.sendCount(limitSessions, stats.Suppressed, lists.Suppress.String())
		out.sendBool(limitExhausted, stats.Exhausted)
		if snapshot.Pressure != nil {
			out.sendPressure(snapshot.Pressure.Status(), stats.Refused)
		}
	}
	if snapshot.Logs != nil {
		out.sendLogs(snapshot.Logs)
	}
	if snapshot.Learn != nil {
		out.sendLearned(snapshot)
	}
	if snapshot.Reports != nil {
		out.sendReports(snapshot)
	}
}

func (s metricSink) sendLearned(snapshot *state.Snapshot) {
	for i, l := range snapshot.Config.Lists {
		if l.IsLearned() {
			s.sendGauge(learnedClients, float64(snapshot.Learn.Count(l.Action)), l.Name)
			s.sendBool(learnedEnforced, snapshot.IsEnforced(i), l.Name)
		}
	}
	st := snapshot.Learn.Status()
	s.sendGauge(learnedFollowed, st.Followed)
	s.sendCount(learnedDropped, st.Dropped)
	s.sendBool(learnedBreaker, st.BreakerIsOpen())
	s.sendBool(learnedDegraded, st.IsDegraded() || snapshot.NeverHealth().IsDegraded())
	s.sendGauge(learnedBytes, float64(st.Bytes))
	for kind, n := range st.Events() {
		s.sendCount(learnedEvents, n, kind)
	}
}

func (s metricSink) sendPressure(status cpupressure.Status, refused uint64) {
	rate := math.Inf(1)
	if n := status.OffersPerSecond; n != nil {
		rate = *n
	}
	s.sendGauge(limitPressure, status.Pressure)
	s.sendGauge(limitRate, rate)
	s.sendCount(limitRefused, refused)
	s.sendBool(limitDegraded, status.IsDegraded())
}

// sendReports sends the sessions that TLS reports tell of, for each list of the config and for the default.
func (s metricSink) sendReports(snapshot *state.Snapshot) {
	sessions := map[string]float64{"": 0}
	for _, l := range snapshot.Config.Lists {
		sessions[l.Name] = 0
	}
	for _, f := range snapshot.Reports.Suppressed() {
		sessions[f.List] += float64(f.Sessions)
	}
	for list, n := range sessions {
		s.sendGauge(reportSessions, n, list)
	}
}

func (s metricSink) sendLogs(service *logs.Service) {
	counts := service.Counts()
	for _, f := range counts.Failures {
		s.sendCount(tlsFailures, f.Count, f.Class, f.MTA)
	}
	for _, n := range counts.Sessions {
		s.sendCount(logSessions, n.Count, n.MTA, n.TLS, n.Mail)
	}
	s.sendGauge(logClients, float64(counts.Clients))
	for source, n := range counts.Lines {
		s.sendCount(logLines, n.All, source)
		s.sendCount(logUnread, n.Unread, source)
	}
	for _, st := range service.Status() {
		s.sendGauge(logLag, st.Lag, st.Source)
		s.sendBool(logDegraded, st.IsDegraded(), st.Source)
	}
}

func (s metricSink) sendDNS(stats state.DNSStats) {
	upstreams := stats.Zones
	if stats.Names != nil {
		upstreams = append(upstreams, dnsbl.ZoneStats{UpstreamStats: *stats.Names})
	}
	for _, u := range upstreams {
		zone, by := u.Zone.String(), "address"
		switch {
		case zone == "":
			by = "reverse"
		case u.ByName:
			by = "name"
		}
		if u.NoHealthCheck { // another list may use the same zone with its health check
			by += "-no-health-check"
		}
		s.sendBool(zoneEnabled, u.State == "enabled", zone, by)
		s.sendCount(zoneQueries, u.Answered, zone, by, "answered")
		for kind, n := range u.Failed {
			s.sendCount(zoneQueries, n, zone, by, kind)
		}
		s.sendCount(zoneLookups, u.Hits, zone, by, "hit")
		s.sendCount(zoneLookups, u.Misses, zone, by, "miss")
		s.sendCount(zoneLookups, u.Stale, zone, by, "stale")
		s.sendCount(zoneListed, u.Listed, zone, by)
	}
	s.sendGauge(dnsInFlight, float64(stats.InFlight))
	s.sendGauge(dnsEntries, float64(stats.Entries))
	s.sendCount(dnsRejected, stats.Rejected)
}
