// Package httpapi is the read-only HTTP interface: /healthz for monitoring, /metrics for Prometheus, and /api/v1 for
// operators, to show the decision for a client and its reason.
package httpapi

import (
	"context"
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
	"ehlogate/lists"
	"ehlogate/lists/listfile"
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
	// Page serves "/"; nil: there is no such page.
	Page http.Handler
	// NotServed are the addresses of [listen] on which the daemon does not listen, with their protocols.
	NotServed []string
}

// Handler serves /healthz, /metrics, /api/v1/ and the page.
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
	if a.Page != nil {
		mux.Handle("GET /{$}", a.Page)
	}
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

// pressureOf returns what sets the limit by the CPU; nil if nothing does.
func pressureOf(snapshot *state.Snapshot) *cpupressure.Status {
	if snapshot.Pressure == nil {
		return nil
	}
	return new(snapshot.Pressure.Status())
}

// Status returns the status of the daemon with a snapshot.
func (a *API) Status(snapshot *state.Snapshot) running.Status {
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
	writeJSON(w, http.StatusOK, map[string]running.Status{"daemon": a.Status(a.Manager.Snapshot())})
}

func (a *API) serveLists(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Lists())
}

// Reputation is the state of DNS, guard and limit; each is null if the config does not use it.
type Reputation struct {
	DNS        *state.DNSStats   `json:"dns"`
	Guard      *tlspolicy.Report `json:"guard"`
	Overridden uint64            `json:"overridden"` // suppressions that the guard kept from taking effect
	Limit      *ratelimit.Stats  `json:"limit"`
	// Pressure is what sets the limit by the CPU.
	Pressure *cpupressure.Status `json:"pressure"`
	// Shared is an address that many of the last sessions came from.
	Shared *telemetry.SharedAddress `json:"shared_address"`
}

// Reputation returns that state.
func (a *API) Reputation() Reputation {
	snapshot := a.Manager.Snapshot()
	out := Reputation{Overridden: a.Recorder.Overridden(), Shared: a.Recorder.Shared(), Pressure: pressureOf(snapshot)}
	if c := snapshot.DNS; c != nil {
		out.DNS = new(c.Stats())
	}
	if g := snapshot.Guard; g != nil {
		out.Guard = new(g.Report())
	}
	if l := snapshot.Limiter; l != nil {
		out.Limit = new(l.Stats())
	}
	return out
}

func (a *API) serveReputation(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Reputation())
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

// NetworkClients is the reply of /api/v1/clients?network=.
type NetworkClients struct {
	Daemon running.Status `json:"daemon"`
	logs.NetworkReport
}

// serveClients answers with what the logs of [logs] tell of a client, or of those of a network together.
func (a *API) serveClients(w http.ResponseWriter, r *http.Request) {
	q, ok := parseQuery(w, r, "addr", "network")
	if !ok {
		return
	}
	if network := q.Get("network"); network != "" && q.Get("addr") == "" {
		a.serveNetwork(w, network)
		return
	}
	c, err := explain.ParseClient(q.Get("addr"), "", "")
	if err != nil {
		refuse(w, err.Error())
		return
	}
	if l := a.Manager.Snapshot().Logs; l != nil {
		writeJSON(w, http.StatusOK, l.Client(c.Addr))
	} else {
		refuseWithoutLogs(w)
	}
}

func refuseWithoutLogs(w http.ResponseWriter) {
	writeJSON(w, http.StatusNotFound, map[string]string{"error": `no log is read: write files = ["/var/log/mail.log"] in [logs]`})
}

func (a *API) serveNetwork(w http.ResponseWriter, network string) {
	from, to, err := listfile.ParseSpan(network)
	if err != nil {
		refuse(w, err.Error())
		return
	}
	snapshot := a.Manager.Snapshot()
	if snapshot.Logs == nil {
		refuseWithoutLogs(w)
		return
	}
	writeJSON(w, http.StatusOK, NetworkClients{a.Status(snapshot), snapshot.Logs.Network(from, to, network)})
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
	writeJSON(w, http.StatusOK, a.Decision(r.Context(), c))
}

// Decision returns what the daemon decides about a client, and all that is known of the client.
func (a *API) Decision(ctx context.Context, c lists.Client) explain.Report {
	snapshot := a.Manager.Snapshot()
	report := explain.NewReport(ctx, c, snapshot.Policy, snapshot.Values)
	if s := a.Recorder.Shared(); s != nil && s.Addr == c.Addr && (report.Shared != nil || s.Names > 0 && report.DependsOnLimit()) {
		report.Shared = &explain.Shared{Share: s.Share, Names: s.Names}
	}
	if l := snapshot.Logs; l != nil {
		report.Logs = new(l.Client(c.Addr))
	}
	if report.DependsOnLimit() {
		report.Pressure = pressureOf(snapshot)
	}
	report.AddLearned(ctx, snapshot, c.Addr)
	report.Source, report.Daemon = explain.FromDaemon, new(a.Status(snapshot))
	return report
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff") // a browser must not take it for a page
	w.WriteHeader(code)
	_ = printable.WriteJSON(w, v) // fails only if the client closed the connection
}
