// Package telemetry counts and logs what the daemon decides: Prometheus metrics, and a log of decisions, outcomes and
// faults that no client can flood.
package telemetry

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ehlogate/cmd/ehlogate/internal/reload"
)

// Metrics counts what happens. Its names are part of the design.
type Metrics struct {
	registry  *prometheus.Registry
	decisions *prometheus.CounterVec
	observed  *prometheus.CounterVec
	heldBack  *prometheus.CounterVec
	outcomes  *prometheus.CounterVec
	seconds   prometheus.Histogram
	conns     *prometheus.GaugeVec
	faults    *prometheus.CounterVec
}

// NewMetrics makes metrics, to which those of the engine's lists belong.
func NewMetrics(e *reload.Manager) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ehlogate_decisions_total",
			Help: "Decisions by protocol, action, and the list that decided (empty: none did)."}, []string{"protocol", "action", "list"}),
		observed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ehlogate_observed_total",
			Help: "What would have been decided if a list, or the policy as a whole, did not merely observe."}, []string{"protocol", "action", "list"}),
		heldBack: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ehlogate_overridden_total",
			Help: "Suppressions that [guard] held back, by the list (empty: the default)."}, []string{"protocol", "list"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ehlogate_outcomes_total",
			Help: "Sessions that policy or milter saw: suppressed, suppressed-encrypted, require-unmet, suppressed-submission."}, []string{"protocol", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ehlogate_decision_seconds",
			Help: "Time that a decision took, of one in 16 that were made.", Buckets: prometheus.ExponentialBuckets(250e-9, 4, 11)}),
		conns: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ehlogate_connections",
			Help: "Open connections."}, []string{"protocol"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ehlogate_protocol_errors_total",
			Help: "Requests that could not be understood, and connections that failed."}, []string{"protocol", "reason"}),
	}
	m.registry.MustRegister(m.decisions, m.observed, m.heldBack, m.outcomes, m.seconds, m.conns, m.faults, listCollector{e}, backgroundCollector{e},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics in the format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	// A scrape is dear; who asks for many at once must not take the CPU from
	// the questions of mail servers.
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, DisableCompression: true})
}

// Conns is the hook for connections of a protocol that come and go.
func (m *Metrics) Conns(protocol string) func(delta int) {
	g := m.conns.WithLabelValues(protocol)
	return func(delta int) { g.Add(float64(delta)) }
}

// listCollector reads the state of the lists when it is asked, so that no
// list that is gone leaves anything behind.
type listCollector struct{ e *reload.Manager }

var (
	listEntries = prometheus.NewDesc("ehlogate_list_entries", "Entries of the list as it answers now.", []string{"list"}, nil)
	listLoaded  = prometheus.NewDesc("ehlogate_list_loaded_timestamp_seconds", "When the list as it answers now was loaded; 0: never.", []string{"list"}, nil)
	listFailed  = prometheus.NewDesc("ehlogate_list_reload_failures_total", "Loads of the list that were refused.", []string{"list"}, nil)
	listStale   = prometheus.NewDesc("ehlogate_list_expired", "1: the files of the list are too old, and it counts as unavailable.", []string{"list"}, nil)
	confFailed  = prometheus.NewDesc("ehlogate_config_reload_failures_total", "Reloads of the config that were refused.", nil, nil)
)

func (c listCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- listEntries
	ch <- listLoaded
	ch <- listFailed
	ch <- listStale
	ch <- confFailed
}

func (c listCollector) Collect(ch chan<- prometheus.Metric) {
	live := c.e.Snapshot()
	for l, s := range live.Files() {
		state, name := s.Status(), l.Name
		loaded := 0.0
		if !state.Loaded.IsZero() {
			loaded = float64(state.Loaded.UnixNano()) / 1e9
		}
		ch <- prometheus.MustNewConstMetric(listEntries, prometheus.GaugeValue, float64(state.Entries), name)
		ch <- prometheus.MustNewConstMetric(listLoaded, prometheus.GaugeValue, loaded, name)
		ch <- prometheus.MustNewConstMetric(listFailed, prometheus.CounterValue, float64(state.Failures), name)
		ch <- gauge(listStale, state.Expired, name)
	}
	ch <- prometheus.MustNewConstMetric(confFailed, prometheus.CounterValue, float64(c.e.ReloadFailures()))
}
