// Package telemetry counts and logs what the daemon decides: Prometheus metrics, and a log of decisions, outcomes and
// faults that no client can flood.
package telemetry

import (
	"net/http"
	"runtime"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/lists"
)

// Metrics are the Prometheus metrics of the daemon. Operators build alerts on their names and labels.
type Metrics struct {
	manager    *state.Manager
	seriesOf   atomic.Pointer[config.Config] // that all series are there for
	registry   *prometheus.Registry
	decisions  *prometheus.CounterVec
	observed   *prometheus.CounterVec
	overridden *prometheus.CounterVec
	hidden     *prometheus.CounterVec
	outcomes   *prometheus.CounterVec
	versions   *prometheus.CounterVec
	seconds    prometheus.Histogram
	conns      *prometheus.GaugeVec
	faults     *prometheus.CounterVec
	unserved   prometheus.Gauge
	shared     prometheus.Gauge
	// sharedNames is about names, not sessions.
	sharedNames prometheus.Gauge
}

// NewMetrics returns metrics that are all zero, with those of the lists and of the background services of m.
func NewMetrics(manager *state.Manager) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		manager:  manager,
		registry: prometheus.NewRegistry(),
		decisions: counters("ehlogate_decisions_total",
			"Decisions, by the list that decided (empty: no list did).", "protocol", "action", "list"),
		observed: counters("ehlogate_observed_total",
			"Decisions without effect, because of mode = \"observe\" of a list or of the config.", "protocol", "action", "list"),
		overridden: counters("ehlogate_overridden_total",
			"Suppressions that [guard] kept from taking effect, by list (empty: the default).", "protocol", "list"),
		hidden: counters("ehlogate_hidden_total",
			"Sessions from which a list hid an EHLO keyword other than STARTTLS.", "keyword", "list"),
		outcomes: counters("ehlogate_outcomes_total",
			"Sessions seen by policy or milter: suppressed, suppressed-encrypted, require-unmet, suppressed-submission.", "protocol", "outcome"),
		versions: counters("ehlogate_tls_versions_total",
			"Sessions on port 25 seen by policy or milter, by version of TLS (none: mail in the clear) and decision on the client.", "protocol", "version", "action"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ehlogate_decision_seconds",
			Help: "Duration of decisions; one in 16 is measured.", Buckets: prometheus.ExponentialBuckets(250e-9, 4, 11)}),
		conns: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ehlogate_connections",
			Help: "Open connections."}, []string{"protocol"}),
		faults: counters("ehlogate_protocol_errors_total",
			"Invalid requests and failed connections, by reason.", "protocol", "reason"),
		unserved: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ehlogate_unserved_addresses",
			Help: "Addresses of [listen] on which the daemon does not listen."}),
		shared: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ehlogate_shared_address_ratio",
			Help: "Share of the last thousand sessions that came from one private address and were suppressed or limited; 0: few. /api/v1/reputation has the address."}),
		sharedNames: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ehlogate_shared_address_names",
			Help: "HELO names that clients of one private address used within ten minutes, about, if these are many, and they were suppressed or limited; 0: few, or policy and milter are not used."}),
	}
	m.registry.MustRegister(m.decisions, m.observed, m.overridden, m.hidden, m.outcomes, m.versions, m.seconds, m.conns, m.faults, m.unserved, m.shared, m.sharedNames,
		stateCollector{manager},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.addSeries(manager.Snapshot())
	return m
}

// SetUnserved sets the number of addresses of [listen] on which the daemon does not listen.
func (m *Metrics) SetUnserved(n int) { m.unserved.Set(float64(n)) }

// SetBuild adds the metric that says by its labels what runs. A revision that is not known is empty.
func (m *Metrics) SetBuild(version, revision string) {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ehlogate_build_info",
		Help: "1; the labels are the version of ehlogate, or of its package, the git revision if it was built from one, and the version of Go."},
		[]string{"version", "revision", "goversion"})
	info.WithLabelValues(version, revision, runtime.Version()).Set(1)
	m.registry.MustRegister(info)
}

// Handler returns the handler of /metrics.
func (m *Metrics) Handler() http.Handler {
	// A scrape costs much CPU time. Clients that request many at once must not delay answers to mail servers.
	h := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, DisableCompression: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.keepSeries()
		h.ServeHTTP(w, r)
	})
}

// Conns returns a function that adds delta to the number of open connections of a protocol. The counters of faults that
// the protocol can have begin with 0.
func (m *Metrics) Conns(protocol string) func(delta int) {
	for _, reason := range protocolFaults[protocol] {
		m.faults.WithLabelValues(protocol, reason)
	}
	g := m.conns.WithLabelValues(protocol)
	return func(delta int) { g.Add(float64(delta)) }
}

// deciding are the protocols whose decisions are counted.
var deciding = []string{"memcache", "socketmap", "tcp_table", "policy", "milter"}

// addSeries makes the series of all decisions that a snapshot can lead to, so that each begins with 0: a rate or an increase
// does not see the first event of a series that appears with it.
func (m *Metrics) addSeries(s *state.Snapshot) {
	for _, protocol := range deciding {
		add := func(action lists.Action, list string) {
			m.decisions.WithLabelValues(protocol, action.String(), list)
			m.addVersionSeries(protocol, action)
			if action == lists.Suppress {
				m.overridden.WithLabelValues(protocol, list)
			}
		}
		add(lists.Offer, "")
		add(lists.Suppress, "")
		m.observed.WithLabelValues(protocol, lists.Suppress.String(), "")
		for _, l := range s.Config.Lists {
			if l.Action == lists.NoAction {
				continue
			}
			add(l.Action, l.Name)
			m.observed.WithLabelValues(protocol, l.Action.String(), l.Name)
			if l.Action == lists.Require || l.Action == lists.Legacy {
				add(lists.Offer, l.Name) // while it is unavailable
			}
		}
	}
	for _, l := range s.Config.Lists {
		m.addHiddenSeries(l.Name, l.Hide)
	}
	m.seriesOf.Store(s.Config)
}

// keepSeries adds the series of the present config, if that is another one than before.
func (m *Metrics) keepSeries() {
	if s := m.manager.Snapshot(); s.Config != m.seriesOf.Load() {
		m.addSeries(s)
	}
}
