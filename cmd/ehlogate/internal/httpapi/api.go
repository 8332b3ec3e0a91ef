// Package httpapi is the read-only HTTP interface: /healthz for monitoring, /metrics for Prometheus, and /api/v1 for
// operators, to show the decision for a client and its reason.
package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/cmd/ehlogate/internal/explain"
	"ehlogate/cmd/ehlogate/internal/logs"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists/printable"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/tlspolicy"
)

// API is the read-only HTTP interface of a running daemon.
type API struct {
	Manager  *state.Manager
	Metrics  *telemetry.Metrics
	Recorder *telemetry.Recorder
	Version  string // of this program
	// NotServed are the addresses of [listen] on which the daemon does not listen, with their protocols.
	NotServed []string
}

// Handler serves /healthz, /metrics and /api/v1/.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.serveHealth)
	mux.HandleFunc("GET /api/v1/decision", a.serveDecision)
	mux.HandleFunc("GET /api/v1/status", a.serveStatus)
	mux.HandleFunc("GET /api/v1/lists", a.serveLists)
	mux.HandleFunc("GET /api/v1/clients", a.serveClients)
	mux.HandleFunc("GET /api/v1/reputation", a.serveReputation)
	mux.HandleFunc("GET /api/v1/learned", a.serveLearned)
	mux.HandleFunc("GET /api/v1/learned/{addr}", a.serveLearnedClient)
	mux.Handle("GET /metrics", a.Metrics.Handler())
	return a.recoverPanics(a.checkHost(mux))
}

// recoverPanics records a panic of h. net/http would drop it with the connection.
func (a *API) recoverPanics(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				a.Recorder.Fault("http", telemetry.FaultPanic, fmt.Appendf(nil, "%v\n%s", v, debug.Stack()))
				panic(http.ErrAbortHandler) // net/http closes the connection without another log line
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// serveHealth answers 503 while a list is unavailable or an address of [listen] is not served. A failed reload of a list
// or of the config leaves the old one in use, lists that learn go on with what they know while a log or their file cannot
// be read, and cpu_pressure has no effect while the pressure cannot: "degraded", with status 200, since what takes a server out of service by the status would take out one that answers
// as it did before.
func (a *API) serveHealth(w http.ResponseWriter, _ *http.Request) {
	faulty, unavailable, skipped := []ListStatus{}, len(a.NotServed) > 0, map[string]int{}
	for _, l := range a.listStates() {
		if l.Skipped > 0 {
			skipped[l.Name] = l.Skipped
		}
		if l.State != stateOK {
			faulty = append(faulty, l)
		}
		unavailable = unavailable || l.State == stateUnavailable
	}
	body, code := map[string]any{"status": stateOK, "lists": faulty}, http.StatusOK
	var logStates []logs.Status
	if l := a.Manager.Snapshot().Logs; l != nil {
		logStates = l.Status()
		body["logs"] = logStates
	}
	config, learnedDegraded := a.Manager.ConfigHealth(), a.addLearned(body)
	reports := newReportsHealth(a.Manager.Snapshot().Reports)
	if reports != nil {
		body["tlsrpt"] = reports
	}
	limitDegraded := a.addPressure(body)
	switch {
	case unavailable:
		body["status"], code = stateUnavailable, http.StatusServiceUnavailable
	case len(faulty) > 0 || config.IsDegraded() || learnedDegraded || limitDegraded || reports != nil || slices.ContainsFunc(logStates, logs.Status.IsDegraded):
		body["status"] = stateDegraded
	}
	if config.IsDegraded() {
		body["config_error"], body["config_error_since"] = config.Error, config.Since
	}
	if len(skipped) > 0 {
		body["skipped_lines"] = skipped
	}
	if len(a.NotServed) > 0 {
		body["not_served"] = a.NotServed
	}
	if g := a.Manager.Snapshot().Guard; g != nil {
		body["guard"] = g.Report()
	}
	if s := a.Recorder.Shared(); s != nil {
		body["shared_address"] = s
	}
	if e := a.Recorder.Exposed(); e.Sessions > 0 {
		body["submission_without_tls"] = e
	}
	writeJSON(w, code, body)
}

// pressureOf returns what sets the limit by the CPU; nil if nothing does.
func pressureOf(snapshot *state.Snapshot) *cpupressure.Status {
	if snapshot.Pressure == nil {
		return nil
	}
	return new(snapshot.Pressure.Status())
}

// addPressure adds it to the body of /healthz. It reports whether that is degraded.
func (a *API) addPressure(body map[string]any) (degraded bool) {
	status := pressureOf(a.Manager.Snapshot())
	if status == nil {
		return false
	}
	body["pressure"] = status
	return status.IsDegraded()
}

func (a *API) status(snapshot *state.Snapshot) running.Status {
	s := running.NewStatus(a.Version, snapshot.Config, snapshot.Loaded, a.Manager.ReloadError())
	for list, source := range snapshot.Files() {
		if st := source.Status(); st.Fault() != nil {
			l := running.ListFault{Name: list.Name, Error: st.Fault().Error()}
			if !st.Loaded.IsZero() {
				l.Loaded = &st.Loaded
			}
			s.Lists = append(s.Lists, l)
		}
	}
	s.Pressure = pressureOf(snapshot)
	if shared := a.Recorder.Shared(); shared != nil {
		s.Shared = new(running.SharedAddress(*shared))
	}
	return s
}

func (a *API) serveStatus(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]running.Status{"daemon": a.status(a.Manager.Snapshot())})
}

func (a *API) serveLists(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.listStates())
}

// serveReputation answers with the state of DNS, guard and limit; each is null if the config does not use it.
func (a *API) serveReputation(w http.ResponseWriter, _ *http.Request) {
	snapshot := a.Manager.Snapshot()
	var body struct {
		DNS        *state.DNSStats   `json:"dns"`
		Guard      *tlspolicy.Report `json:"guard"`
		Overridden uint64            `json:"overridden"` // suppressions that the guard kept from taking effect
		Limit      *ratelimit.Stats  `json:"limit"`
		// Pressure is what sets the limit by the CPU.
		Pressure *cpupressure.Status `json:"pressure"`
		// Shared is an address that many of the last sessions came from.
		Shared *telemetry.SharedAddress `json:"shared_address"`
	}
	body.Overridden, body.Shared = a.Recorder.Overridden(), a.Recorder.Shared()
	if c := snapshot.DNS; c != nil {
		body.DNS = new(c.Stats())
	}
	if g := snapshot.Guard; g != nil {
		body.Guard = new(g.Report())
	}
	if l := snapshot.Limiter; l != nil {
		body.Limit = new(l.Stats())
	}
	body.Pressure = pressureOf(snapshot)
	writeJSON(w, http.StatusOK, body)
}

// parseQuery returns the parameters of a request. It refuses a request with others than the known ones, or with one twice.
func parseQuery(w http.ResponseWriter, r *http.Request, known ...string) (q url.Values, ok bool) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(w, err.Error())
		return nil, false
	}
	for k, values := range q {
		if !slices.Contains(known, k) {
			refuse(w, "unknown parameter "+k+": use "+strings.Join(known, ", "))
			return nil, false
		}
		if len(values) > 1 {
			refuse(w, "parameter "+k+" given more than once")
			return nil, false
		}
	}
	return q, true
}

func refuse(w http.ResponseWriter, msg string) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": msg})
}

// serveClients answers with what the logs of [logs] tell of a client.
func (a *API) serveClients(w http.ResponseWriter, r *http.Request) {
	q, ok := parseQuery(w, r, "addr")
	if !ok {
		return
	}
	c, err := explain.ParseClient(q.Get("addr"), "", "")
	if err != nil {
		refuse(w, err.Error())
		return
	}
	l := a.Manager.Snapshot().Logs
	if l == nil {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": `no log is read: write files = ["/var/log/mail.log"] in [logs]`})
		return
	}
	writeJSON(w, http.StatusOK, l.Client(c.Addr))
}

func (a *API) serveDecision(w http.ResponseWriter, r *http.Request) {
	q, ok := parseQuery(w, r, "addr", "helo", "name")
	if !ok {
		return
	}
	c, err := explain.ParseClient(q.Get("addr"), q.Get("name"), q.Get("helo"))
	if err != nil {
		refuse(w, err.Error())
		return
	}
	snapshot := a.Manager.Snapshot()
	report := explain.NewReport(r.Context(), c, snapshot.Policy, snapshot.Values)
	if s := a.Recorder.Shared(); s != nil && s.Addr == c.Addr && (report.Shared != nil || s.Names > 0 && report.DependsOnLimit()) {
		report.Shared = &explain.Shared{Share: s.Share, Names: s.Names}
	}
	if l := snapshot.Logs; l != nil {
		report.Logs = new(l.Client(c.Addr))
	}
	if report.DependsOnLimit() {
		report.Pressure = pressureOf(snapshot)
	}
	report.AddLearned(r.Context(), snapshot, c.Addr)
	report.Source, report.Daemon = explain.FromDaemon, new(a.status(snapshot))
	writeJSON(w, http.StatusOK, report)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff") // a browser must not take it for a page
	w.WriteHeader(code)
	_ = printable.WriteJSON(w, v) // fails only if the client closed the connection
}
