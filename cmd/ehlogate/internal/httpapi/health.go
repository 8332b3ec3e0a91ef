package httpapi

import (
	"net/http"
	"time"

	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/cmd/ehlogate/internal/learn"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists/tlspolicy"
)

// Health is the reply of /healthz. What is absent is not in use, or well.
type Health struct {
	ConfigError      string                   `json:"config_error,omitempty"`
	ConfigErrorSince time.Time                `json:"config_error_since,omitzero"`
	Guard            *tlspolicy.Report        `json:"guard,omitempty"`
	NeverError       string                   `json:"learn_never_error,omitempty"`
	NeverErrorSince  time.Time                `json:"learn_never_error_since,omitzero"`
	Learned          *learn.Status            `json:"learned,omitempty"`
	Lists            []ListStatus             `json:"lists"` // those that are not ok
	Logs             []logs.Status            `json:"logs,omitempty"`
	NotServed        []string                 `json:"not_served,omitempty"` // addresses of [listen]
	Pressure         *cpupressure.Status      `json:"pressure,omitempty"`
	Reasons          []string                 `json:"reasons,omitempty"` // why it is not "ok", each in a line; the worst first
	Shared           *telemetry.SharedAddress `json:"shared_address,omitempty"`
	Skipped          map[string]int           `json:"skipped_lines,omitempty"`          // by list
	Status           string                   `json:"status"`                           // "ok", "degraded", "unavailable"
	Exposed          *telemetry.Exposed       `json:"submission_without_tls,omitempty"` // since the start; a fault for a day
	Reports          *ReportsHealth           `json:"tlsrpt,omitempty"`
}

// Health returns how the daemon is, of which all are the lists.
func (a *API) Health(all []ListStatus) Health {
	snapshot := a.Manager.Snapshot()
	h := Health{Status: StateOK, Lists: []ListStatus{}, NotServed: a.NotServed, Pressure: pressureOf(snapshot), Shared: a.Recorder.Shared(),
		Reports: newReportsHealth(snapshot.Reports)}
	for _, l := range all {
		if l.Skipped > 0 {
			if h.Skipped == nil {
				h.Skipped = map[string]int{}
			}
			h.Skipped[l.Name] = l.Skipped
		}
		if l.State != StateOK {
			h.Lists = append(h.Lists, l)
		}
	}
	if config := a.Manager.ConfigHealth(); config.IsDegraded() {
		h.ConfigError, h.ConfigErrorSince = config.Error, config.Since
	}
	if l := snapshot.Logs; l != nil {
		h.Logs = l.Status()
	}
	if l := snapshot.Learn; l != nil {
		h.Learned = new(l.Status())
		if never := snapshot.NeverHealth(); never.IsDegraded() {
			h.NeverError, h.NeverErrorSince = never.Error, never.Since
		}
	}
	if g := snapshot.Guard; g != nil {
		h.Guard = new(g.Report())
	}
	if e := a.Recorder.Exposed(); e.Sessions > 0 {
		h.Exposed = &e
	}
	var unavailable bool
	switch h.Reasons, unavailable = h.findReasons(time.Now()); {
	case unavailable:
		h.Status = StateUnavailable
	case len(h.Reasons) > 0:
		h.Status = StateDegraded
	}
	return h
}

// serveHealth answers 503 while a list is unavailable or an address of [listen] is not served. A failed reload of a list
// or of the config leaves the old one in use, lists that learn go on with what they know while a log or their file cannot
// be read, cpu_pressure has no effect while the pressure cannot, and a mail server hides STARTTLS from clients that submit
// mail: "degraded", with status 200, since what takes a server out of service by the status would take out one that answers
// as it did before.
func (a *API) serveHealth(w http.ResponseWriter, _ *http.Request) {
	h, code := a.Health(a.Lists()), http.StatusOK
	if h.Status == StateUnavailable {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, h)
}
