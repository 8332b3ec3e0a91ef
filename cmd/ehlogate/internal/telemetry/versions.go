package telemetry

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"ehlogate/lists"
	"ehlogate/lists/printable"
)

// seesVersions reports whether a protocol is told which version of TLS a session uses.
func seesVersions(protocol string) bool { return protocol == "policy" || protocol == "milter" }

// addVersionSeries makes the series of the versions of TLS that clients with an action can use.
func (m *Metrics) addVersionSeries(protocol string, action lists.Action) {
	if !seesVersions(protocol) {
		return
	}
	for v := range lists.TLSVersionCount {
		m.versions.WithLabelValues(protocol, v.String(), action.String())
	}
}

// TLSVersions returns a function that notes the HELO name of a session, counts the version of TLS that it uses, and logs it:
// of clients on a list with action = "legacy" always, so that the operator sees which of them need that list, and of all
// others at level debug.
func (r *Recorder) TLSVersions(protocol string) func(v lists.TLSVersion, c lists.Client, d lists.Decision) {
	// A search by label values costs more than the rest of a request.
	var counters [lists.TLSVersionCount][lists.NoAction]atomic.Pointer[prometheus.Counter]
	return func(v lists.TLSVersion, c lists.Client, d lists.Decision) {
		counter := counters[v][d.Action].Load()
		if counter == nil {
			found := r.metrics.versions.WithLabelValues(protocol, v.String(), d.Action.String())
			counter = &found
			counters[v][d.Action].Store(counter)
		}
		(*counter).Inc()
		r.noteName(&c, &d)
		isLegacy := d.Action == lists.Legacy
		if isLegacy && !(r.log.IsLevelEnabled(logrus.InfoLevel) && r.takeLine()) || !isLegacy && !r.log.IsLevelEnabled(logrus.DebugLevel) {
			return
		}
		f := logrus.Fields{"protocol": protocol, "tls_version": v.String()}
		if c.Addr.IsValid() {
			f["client"] = c.Addr.String()
		}
		if c.HELO != "" {
			f["helo"] = printable.Shorten(c.HELO, maxAbout)
		}
		if d.List != nil {
			f["list"] = d.List.Name
		}
		if e := d.Entry(); e.Text != "" {
			f["entry"] = e.Text
		}
		log := r.log.WithFields(f)
		switch {
		case !isLegacy:
			log.Debug("TLS version of a session")
		case v.IsOld():
			log.Info("client of a legacy list used old TLS")
		case v == lists.NoTLS:
			log.Info("client of a legacy list sent mail without TLS")
		default:
			log.Info("client of a legacy list used TLS 1.2 or later; it may not need the list")
		}
	}
}
