// Package httpapi is the read-only HTTP interface: /healthz for monitoring, /metrics for Prometheus, and /api/v1 for
// operators who ask what is decided for a client, and why.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/explain"
	"ehlogate/cmd/ehlogate/internal/reload"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
	"ehlogate/lists/dnsbl"
	"ehlogate/lists/listfile"
	"ehlogate/lists/ratelimit"
	"ehlogate/lists/tlspolicy"
)

// API is the read-only HTTP interface.
type API struct {
	Engine  *reload.Manager
	Metrics *telemetry.Metrics
	Watch   *telemetry.Recorder
	// Missing tells of addresses that are configured and not served.
	Missing []string
}

// Handler serves /healthz, /metrics and /api/v1/.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /api/v1/decision", a.decision)
	mux.HandleFunc("GET /api/v1/lists", a.lists)
	mux.HandleFunc("GET /api/v1/reputation", a.reputation)
	mux.Handle("GET /metrics", a.Metrics.Handler())
	return a.guarded(mux)
}

// guarded notes a panic, which net/http would swallow with the connection.
func (a *API) guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				a.Watch.Fault("http", telemetry.FaultPanic, fmt.Appendf(nil, "%v\n%s", v, debug.Stack()))
				panic(http.ErrAbortHandler) // ends the connection without a word
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// List is one list in /api/v1/lists and /healthz.
type List struct {
	Name    string       `json:"name"`
	Action  lists.Action `json:"action"`
	Mode    lists.Mode   `json:"mode"`
	Loaded  *time.Time   `json:"loaded"` // of what answers now; null: never
	Entries int          `json:"entries"`
	Files   []string     `json:"files"`
	Error   string       `json:"error,omitempty"` // of the last load, or why it counts as unavailable
	// Problems are the first of those in Error, each with its place.
	Problems []string `json:"problems,omitempty"`
	// Zones are those of a list by DNS.
	Zones []dnsbl.UpstreamStats `json:"zones,omitempty"`

	unavailable bool
}

func (a *API) state() (out []List, unavailable, broken int) {
	live := a.Engine.Snapshot()
	var asked dnsbl.Stats
	if live.DNS() != nil {
		asked = live.DNS().Stats()
	}
	out = []List{}
	for i, s := range live.Sources {
		conf := live.Config.Lists[i]
		l := List{Name: conf.Name, Action: conf.Action, Mode: conf.Mode, Files: []string{}}
		if s.File != nil {
			l.ofFiles(s.File.Status())
			if n := asked.Names; n != nil && n.State != "closed" && s.File.UsesNames() {
				l.unavailable, l.Error = true, "it has names, and reverse DNS is not asked: "+n.Error
			}
		} else {
			l.ofZones(conf.Zones, asked.Zones)
		}
		switch {
		case l.unavailable:
			unavailable++
		case l.Error != "":
			broken++
		}
		out = append(out, l)
	}
	return out, unavailable, broken
}

func (l *List) ofFiles(state listfile.Status) {
	l.Entries, l.Files = state.Entries, append(l.Files, state.Files...)
	l.unavailable = state.Loaded.IsZero() || state.Expired
	if !state.Loaded.IsZero() {
		l.Loaded = &state.Loaded
	}
	if state.Expired {
		l.Error = "its files are too old, since " + state.StaleAt.Format(time.RFC3339)
	}
	if err := state.Fault(); err != nil {
		l.Error = err.Error()
		var ps *listfile.Problems
		if errors.As(err, &ps) {
			for _, p := range ps.First {
				l.Problems = append(l.Problems, p.Error())
			}
		}
	}
}

// ofZones tells of a list by DNS, which is unavailable while one of its zones is
// not asked: it may still be decided by the others, and by what is in memory.
func (l *List) ofZones(spec dnsbl.Spec, all []dnsbl.UpstreamStats) {
	for _, z := range spec.Zones {
		i := slices.IndexFunc(all, func(o dnsbl.UpstreamStats) bool {
			return o.Zone == z.Name && o.ByName == z.ByName && o.NoHealthCheck == z.NoHealthCheck
		})
		if i < 0 {
			continue
		}
		l.Zones = append(l.Zones, all[i])
		if all[i].IPv6 != "closed" && !all[i].ByName {
			l.Error = fmt.Sprintf("zone %s is not asked about IPv6 addresses (%s) %s", z.Name, all[i].IPv6, all[i].Error6)
		}
		if all[i].State != "closed" {
			l.unavailable = true
			l.Error = fmt.Sprintf("zone %s is not asked (%s)", z.Name, all[i].State)
			if all[i].Error != "" {
				l.Error += ": " + all[i].Error
			}
		}
	}
}

// health is 503 as long as a list is unavailable, or an address is not served. A list or a config whose
// last edit was refused stays as before; that shows, but is no reason to page
// anybody.
func (a *API) health(w http.ResponseWriter, _ *http.Request) {
	all, unavailable, broken := a.state()
	status, code := "ok", http.StatusOK
	body := map[string]any{}
	err := a.Engine.ReloadError()
	if err != nil {
		body["config_error"] = err.Error()
	}
	if len(a.Missing) > 0 {
		body["not_served"] = a.Missing
	}
	switch {
	case len(a.Missing) > 0:
		status, code = "not-served", http.StatusServiceUnavailable
	case unavailable > 0:
		status, code = "unavailable", http.StatusServiceUnavailable
	case broken > 0 || err != nil:
		status = "degraded"
	}
	faulty := []List{}
	for _, l := range all {
		if l.Error != "" || l.unavailable {
			faulty = append(faulty, l)
		}
	}
	if g := a.Engine.Snapshot().Guard(); g != nil {
		body["guard"] = g.Report()
	}
	if e := a.Watch.Exposed(); e.Sessions > 0 {
		body["submission_without_tls"] = e
	}
	body["status"], body["lists"] = status, faulty
	reply(w, code, body)
}

func (a *API) lists(w http.ResponseWriter, _ *http.Request) {
	all, _, _ := a.state()
	reply(w, http.StatusOK, all)
}

// reputation shows what is asked beside the lists of files: null where the
// config has no use for it.
func (a *API) reputation(w http.ResponseWriter, _ *http.Request) {
	live := a.Engine.Snapshot()
	var body struct {
		DNS      *dnsbl.Stats      `json:"dns"`
		Guard    *tlspolicy.Report `json:"guard"`
		HeldBack uint64            `json:"overridden"` // suppressions, by the guard
		Shed     *ratelimit.Stats  `json:"limit"`
	}
	body.HeldBack = a.Watch.Overridden()
	if s := live.DNS(); s != nil {
		st := s.Stats()
		body.DNS = &st
	}
	if g := live.Guard(); g != nil {
		st := g.Report()
		body.Guard = &st
	}
	if s := live.Limiter(); s != nil {
		st := s.Stats()
		body.Shed = &st
	}
	reply(w, http.StatusOK, body)
}

func (a *API) decision(w http.ResponseWriter, r *http.Request) {
	refuse := func(msg string) { reply(w, http.StatusBadRequest, map[string]string{"error": msg}) }
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		refuse(err.Error())
		return
	}
	for k, values := range q {
		if k != "addr" && k != "helo" && k != "name" || len(values) > 1 {
			refuse("parameter " + k + ": known are addr, helo, name, each once")
			return
		}
	}
	c, err := explain.ParseClient(q.Get("addr"), q.Get("name"), q.Get("helo"))
	if err != nil {
		refuse(err.Error())
		return
	}
	live := a.Engine.Snapshot()
	reply(w, http.StatusOK, explain.NewReport(r.Context(), c, live.Policy, live.Keywords))
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // fails only if the client is gone
}

// ServeConn gives a handler for single connections, so that HTTP is under the
// same cap as every other protocol, and a function that ends it.
func ServeConn(h http.Handler, log *logrus.Logger) (handle func(context.Context, net.Conn), stop func()) {
	queue := &connQueue{conns: make(chan net.Conn), closed: make(chan struct{})}
	var open sync.Map // net.Conn to chan struct{}, closed with it
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          stdlog.New(io.Discard, "", 0), // clients that break off
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				if done, ok := open.LoadAndDelete(c); ok {
					close(done.(chan struct{}))
				}
			}
		},
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		if err := server.Serve(queue); !errors.Is(err, http.ErrServerClosed) {
			log.WithError(err).Error("HTTP")
		}
	}()
	handle = func(_ context.Context, c net.Conn) {
		done := make(chan struct{})
		open.Store(quietConn{c}, done)
		select {
		case queue.conns <- quietConn{c}:
			<-done
		case <-queue.closed:
		}
	}
	return handle, func() { server.Close(); <-finished }
}

// quietConn ends without a word when it has to give way: to any error but the
// usual ones net/http would answer with "400 Bad Request".
type quietConn struct{ net.Conn }

func (c quietConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// connQueue is a listener whose connections are accepted elsewhere.
type connQueue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr is of no meaning: connections know their own.
func (q *connQueue) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }
