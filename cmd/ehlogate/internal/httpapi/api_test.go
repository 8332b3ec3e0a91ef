package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newManager(t testing.TB, conf string, files map[string]string) *state.Manager {
	t.Helper()
	dir := t.TempDir()
	files["c.toml"] = conf
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	load := func() (*config.Config, error) { return config.Load(filepath.Join(dir, "c.toml")) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	return state.New(cfg, load, time.Now, log)
}

const conf = `
[[list]]
name = "trial"
action = "suppress"
mode = "observe"
files = ["trial.list"]
[[list]]
name = "deny"
action = "suppress"
files = ["deny.list"]
`

// get asks over a real connection through ServeConn.
func get(t *testing.T, api *API, path string) (code int, body string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	handle, stop := ServeConn(api.Handler())
	defer stop()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		handle(context.Background(), c)
	}()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + ln.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	<-served
	return resp.StatusCode, string(data)
}

func TestAPI(t *testing.T) {
	files := map[string]string{"trial.list": "192.0.2.0/24\n", "deny.list": "192.0.2.1 # why\n"}
	e := newManager(t, conf, files)
	m := telemetry.NewMetrics(e)
	api := &API{Manager: e, Metrics: m, Recorder: telemetry.NewRecorder(m, logrus.New())}
	if code, body := get(t, api, "/healthz"); code != 200 || !strings.Contains(body, `"ok"`) {
		t.Errorf("healthz: %d %s", code, body)
	}
	code, body := get(t, api, "/api/v1/decision?addr=192.0.2.1&helo=x")
	var r struct {
		Decision struct{ Action, List, Note string }
		Observed []struct{ List string }
		Answers  []struct{ Protocol, Reply string }
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != 200 || r.Decision.Action != "suppress" || r.Decision.List != "deny" ||
		r.Decision.Note != "why" || len(r.Observed) != 1 || r.Observed[0].List != "trial" || !strings.Contains(r.Answers[0].Reply, "starttls") {
		t.Errorf("decision: %d %v %s", code, err, body)
	}
	for path, want := range map[string]int{"/api/v1/decision": 400, "/api/v1/decision?addr=x": 400, "/api/v1/decision?addr=::1&ip=1": 400, "/api/v1/decision?addr=::1&addr=::2": 400, "/api/v1/decision?addr=::1&helo=%zz": 400, "/api/v1/decision?addr=::1&helo=a%0d%0ab": 400, "/nothing": 404} {
		if code, body := get(t, api, path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := get(t, api, "/api/v1/lists"); code != 200 || !strings.Contains(body, `"entries": 1`) || !strings.Contains(body, `"observe"`) {
		t.Errorf("lists: %d %s", code, body)
	}
}

// reloadOnce runs m until it has reloaded config and lists.
func reloadOnce(t *testing.T, m *state.Manager) {
	ctx, cancel := context.WithCancel(t.Context())
	reloads, ended := make(chan func()), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx, reloads) })
	reloads <- func() { close(ended) }
	<-ended
	cancel()
	running.Wait()
}

func TestHealth(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "bad line\n"})
	m := telemetry.NewMetrics(e)
	api := &API{Manager: e, Metrics: m, Recorder: telemetry.NewRecorder(m, logrus.New())}
	if code, body := get(t, api, "/healthz"); code != 503 || !strings.Contains(body, `"unavailable"`) || !strings.Contains(body, "deny.list:1:5") ||
		!strings.Contains(body, `"reasons": [
    "list \"deny\" is unavailable: `) {
		t.Errorf("unavailable: %d %s", code, body)
	}
	dir := filepath.Dir(e.Snapshot().Config.File)
	for _, text := range []string{"192.0.2.1\n", "192.0.2.1/33\n"} {
		if err := os.WriteFile(filepath.Join(dir, "deny.list"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		reloadOnce(t, e)
	}
	if code, body := get(t, api, "/healthz"); code != 200 || !strings.Contains(body, `"degraded"`) || !strings.Contains(body, `invalid prefix length`) ||
		!strings.Contains(body, `    "list \"deny\": `) {
		t.Errorf("stale: %d %s", code, body)
	}
	api.NotServed = []string{"memcache on 127.0.0.1:1"}
	if code, body := get(t, api, "/healthz"); code != 503 || !strings.Contains(body, "\"reasons\": [\n    \"not served: memcache on 127.0.0.1:1\",\n    \"list ") {
		t.Errorf("not served: %d %s", code, body)
	}
	_, body := get(t, api, "/metrics")
	for _, want := range []string{
		`ehlogate_list_entries{list="deny"} 1`, `ehlogate_list_reload_failures_total{list="deny"} 2`,
		`ehlogate_list_reload_failures_total{list="trial"} 0`, "ehlogate_config_reload_failures_total 0",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// Decisions and outcomes are counted, logged, and shown.
func TestDecisionsAndOutcomes(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "192.0.2.0/24\n", "deny.list": "192.0.2.1\n"})
	m := telemetry.NewMetrics(e)
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	w := telemetry.NewRecorder(m, log)
	d := w.LoggedDecider("memcache", e)
	for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.2", "203.0.113.1"} {
		d.Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr(addr)})
	}
	for _, want := range []string{
		`msg="STARTTLS suppressed" client=192.0.2.1 `, `list=deny observed="suppress by trial"`,
		`msg="observed: STARTTLS would be suppressed" client=192.0.2.2 `, "list=trial",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "203.0.113.1") {
		t.Error("an offer is logged")
	}
	outcome := w.Outcomes("policy")
	outcome(lists.OutcomeSubmission, lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}, lists.Decision{})
	outcome(lists.OutcomeSuppressed, lists.Client{}, lists.Decision{})
	if code, body := get(t, &API{Manager: e, Metrics: m, Recorder: w}, "/healthz"); code != 200 || !strings.Contains(body, `"sessions": 1`) ||
		!strings.Contains(body, `"status": "degraded"`) || !strings.Contains(body, `"STARTTLS is hidden from 192.0.2.1, which submitted mail without TLS: passwords are sent in the clear (sessions: 1)"`) || !strings.Contains(out.String(), "password is sent in the clear") {
		t.Errorf("healthz: %d %s, log %s", code, body, &out)
	}
	_, body := get(t, &API{Manager: e, Metrics: m, Recorder: w}, "/metrics")
	for _, want := range []string{
		`ehlogate_decisions_total{action="suppress",list="deny",protocol="memcache"} 1`,
		`ehlogate_decisions_total{action="offer",list="",protocol="memcache"} 3`, `ehlogate_observed_total{action="suppress",list="trial",protocol="memcache"} 3`,
		`ehlogate_outcomes_total{outcome="suppressed-submission",protocol="policy"} 1`, `ehlogate_outcomes_total{outcome="suppressed",protocol="policy"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// A panic in an answer over HTTP is counted and logged, and ends that connection alone.
func TestPanicOverHTTP(t *testing.T) {
	e := newManager(t, "# nothing\n", map[string]string{})
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	a := &API{Manager: e, Recorder: telemetry.NewRecorder(telemetry.NewMetrics(e), log)}
	server := httptest.NewServer(a.recoverPanics(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })))
	if resp, err := server.Client().Get(server.URL); err == nil {
		resp.Body.Close()
		t.Errorf("answered %s", resp.Status)
	}
	server.Close() // when all has been written
	if !strings.Contains(out.String(), "boom") || !strings.Contains(out.String(), "TestPanicOverHTTP") {
		t.Errorf("logged %s", &out)
	}
}

// An idle HTTP connection that has to give way ends without a word.
func TestHTTPGivesWay(t *testing.T) {
	handle, stop := ServeConn(http.NotFoundHandler())
	defer stop()
	client, server := net.Pipe()
	defer client.Close()
	done := make(chan struct{})
	go func() { defer close(done); handle(t.Context(), gone{server}) }()
	client.SetDeadline(time.Now().Add(20 * time.Second))
	if data, err := io.ReadAll(client); err != nil || len(data) > 0 {
		t.Errorf("it said %q, %v", data, err)
	}
	<-done
}

// gone is a connection of which Read says that its time has come.
type gone struct{ net.Conn }

func (gone) Read([]byte) (int, error) { return 0, net.ErrClosed }
