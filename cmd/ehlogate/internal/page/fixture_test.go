package page

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/httpapi"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daemon is what serves HTTP in the daemon, with its state.
type daemon struct {
	testing.TB
	dir      string
	manager  *state.Manager
	recorder *telemetry.Recorder
	page     *Page
	handler  http.Handler
}

// startDaemon starts one. In conf, DIR is the directory, which has the files.
func startDaemon(t testing.TB, conf string, files map[string]string) *daemon {
	t.Helper()
	d := &daemon{TB: t, dir: t.TempDir()}
	d.write("c.toml", strings.ReplaceAll(conf, "DIR", d.dir))
	for name, text := range files {
		d.write(name, text)
	}
	load := func() (*config.Config, error) { return config.Load(filepath.Join(d.dir, "c.toml")) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	d.manager = state.New(cfg, load, time.Now, log)
	metrics := telemetry.NewMetrics(d.manager)
	d.recorder = telemetry.NewRecorder(metrics, log)
	api := &httpapi.API{Manager: d.manager, Metrics: metrics, Recorder: d.recorder, Version: "0.9.0"}
	d.page = New(api)
	api.Page = d.page
	d.handler = api.Handler()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.manager.Run(ctx, nil) }()
	t.Cleanup(func() { cancel(); <-done })
	return d
}

func (d *daemon) write(name, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.Fatal(err)
	}
}

// get returns the answer to a request for the page.
func (d *daemon) get(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
	return w
}

// await waits until the page has a text.
func (d *daemon) await(path, text string) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), testenv.Soon)
	defer cancel()
	if err := testenv.Await(ctx, func() (bool, error) { return strings.Contains(d.get(path).Body.String(), text), nil }); err != nil {
		d.Fatalf("waiting until the page has %s: %v\n%s", text, err, d.get(path).Body)
	}
}

// fullConfig uses all that the page shows. SERVER is a DNS server.
const fullConfig = `
default = "limit"
dns = { resolvers = ["SERVER"], wait = "100ms" }
limit = { offers_per_second = 0.05 }
[guard]
domains = ["example.org"]
state = "DIR/guard.json"
[logs]
files = ["DIR/mail.log"]
state = "DIR/logs.json"
[learn]
state = "DIR/learned.db"
[fallback]
spacing = "1s"
span = "2s"
observe_for = "1s"
[tlsrpt]
state = "DIR/tlsrpt.json"
[edits]
journal = "DIR/edits.jsonl"
[[list]]
name = "partners"
action = "offer"
files = ["partners.list"]
[[list]]
name = "deny"
action = "suppress"
files = ["deny.list"]
[[list]]
name = "printers"
action = "suppress"
files = ["printers.list"]
expire_after = "30h"
[[list]]
name = "bots"
action = "suppress"
mode = "observe"
zones = [{zone = "bl.test"}]
[[list]]
name = "no-chunking"
hide = ["chunking"]
files = ["chunking.list"]
[[list]]
name = "broken-tls"
learn = "fallback"
action = "suppress"
mode = "enforce"
[[list]]
name = "known"
learn = "earned"
action = "offer"
`

// startFull starts a daemon with fullConfig that saw a day.
func startFull(t testing.TB) *daemon {
	t.Helper()
	server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test.", "2.0.0.127 60 IN A 127.0.0.2\n8.8.8.8 60 IN A 127.0.0.2\n"),
		dnstest.NewZone(t, "example.org.", "@ 60 IN MX 10 mx\nmx 60 IN A 192.0.2.25\n"))
	files := map[string]string{
		"partners.list": "mx.partner.example\n198.51.100.0/26   # partners\n", "mail.log": "",
		"deny.list":     "192.0.2.0/28    # scanners in the guest network\n203.0.113.9    # since 2026-11-20\n",
		"printers.list": "192.0.2.70      # the printer on the third floor speaks TLS 1.0\n192.0.2.71\n",
		"chunking.list": "203.0.113.128/25\n",
	}
	path := filepath.Join(t.TempDir(), "learned.db")
	learnClients(t, path)
	learned, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files["learned.db"] = string(learned)
	d := startDaemon(t, strings.ReplaceAll(fullConfig, "SERVER", server.Addr.String()), files)
	d.playDay(time.Now())
	d.editLists(time.Now())
	testenv.Eventually(t, "logs are followed", func() bool {
		p, err := os.ReadFile(filepath.Join(d.dir, "logs.json"))
		return err == nil && strings.Contains(string(p), "mail.log")
	})
	d.write("mail.log", mailLog(time.Now().Add(-3*time.Hour)))
	d.write("printers.list", "192.0.2.70      # the printer on the third floor speaks TLS 1.0\n192.0.2.71/33\n")
	d.await("/", "invalid prefix length")
	d.await("/", "no-shared-cipher")
	d.await("/", ">none<")
	d.await("/", ">enabled<")
	return d
}
