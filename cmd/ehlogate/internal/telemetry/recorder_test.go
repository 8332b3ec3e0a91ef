package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/loglimit"
	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists"
	"ehlogate/policyd"
)

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

// newManager returns a manager of the config conf and of list files by their names.
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
	logschema.Watch(t, log)
	log.SetOutput(io.Discard)
	return state.New(cfg, load, time.Now, log)
}

// The time of some decisions is taken, and none is forgotten.
func TestDecisionsAreTimed(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "#\n"})
	m := NewMetrics(e)
	w := NewRecorder(m, logrus.New())
	d := w.LoggedDecider("memcache", e)
	const n = 100 * timedShare
	for range n {
		d.Decide(t.Context(), lists.Client{})
	}
	page := httptest.NewRecorder()
	m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	body := page.Body.String()
	timed := 0
	for line := range strings.Lines(body) {
		fmt.Sscanf(line, "ehlogate_decision_seconds_count %d", &timed)
	}
	if timed < 20 || timed > 500 || !strings.Contains(body, fmt.Sprintf(`ehlogate_decisions_total{action="offer",list="",protocol="memcache"} %d`, n)) {
		t.Errorf("%d of %d decisions are timed\n%s", timed, n, body)
	}
}

// A rate sees the first fault: the counters of a protocol that is served begin with 0, and there are no others.
func TestFaultsBeginWithZero(t *testing.T) {
	e := newManager(t, "# nothing\n", map[string]string{})
	unused := maps.Clone(faultMessages)
	for _, protocol := range config.Protocols {
		m := NewMetrics(e)
		m.Conns(protocol)
		page := httptest.NewRecorder()
		m.Handler().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
		n := 0
		for line := range strings.Lines(page.Body.String()) {
			var reason string
			if _, err := fmt.Sscanf(line, "ehlogate_protocol_errors_total{protocol=\""+protocol+"\",reason=%q} 0", &reason); err == nil {
				delete(unused, reason)
				n++
			} else if strings.HasPrefix(line, "ehlogate_protocol_errors_total") {
				t.Errorf("%s: %s", protocol, line)
			}
		}
		if n < len(serverFaults) || n > len(faultMessages) {
			t.Errorf("%s has %d counters:\n%s", protocol, n, page.Body)
		}
	}
	if len(unused) > 0 {
		t.Errorf("no protocol has %v", unused)
	}
}

// A panic while deciding offers, is counted and is logged.
func TestPanicOffers(t *testing.T) {
	e := newManager(t, "# nothing\n", map[string]string{})
	var out bytes.Buffer
	log := logrus.New()
	logschema.Watch(t, log)
	log.SetOutput(&out)
	w := NewRecorder(NewMetrics(e), log)
	got := w.LoggedDecider("memcache", lists.DeciderFunc(func(context.Context, lists.Client) lists.Decision { panic("boom") })).
		Decide(t.Context(), lists.Client{})
	if got.Action != lists.Offer || got.Reason != lists.ReasonFault || !strings.Contains(out.String(), "boom") || !strings.Contains(out.String(), "TestPanicOffers") {
		t.Errorf("got %+v, log %s", got, &out)
	}
}

// Floods of suppressed sessions and of faults do not flood the log.
func TestLogIsBounded(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := logrus.New()
		logschema.Watch(t, log)
		log.SetOutput(&out)
		w := NewRecorder(NewMetrics(e), log)
		d := w.LoggedDecider("memcache", e)
		for range 3000 {
			d.Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr("192.0.2.1")})
			w.Fault("memcache", policyd.FaultKey, []byte("x"))
		}
		w.nextSecond()
		if n := strings.Count(out.String(), "STARTTLS suppressed"); n != decisionLines {
			t.Errorf("%d lines about decisions", n)
		}
		if !strings.Contains(out.String(), fmt.Sprintf("not_logged=%d", 3000-decisionLines)) {
			t.Errorf("the rest is not counted")
		}
		if n := strings.Count(out.String(), "reason=key"); n != 1 {
			t.Errorf("%d lines about faults", n)
		}
		time.Sleep(loglimit.Interval)
		w.Fault("memcache", policyd.FaultKey, []byte("x"))
		if !strings.Contains(out.String(), "not_logged=2999") {
			t.Error("the faults in between are not counted")
		}
	})
}

// Counting and timing allocate nothing, nor does a line that is left out.
func TestDecisionsAllocateNothing(t *testing.T) {
	e := newManager(t, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	log := logrus.New()
	logschema.Watch(t, log)
	log.SetOutput(io.Discard)
	w := NewRecorder(NewMetrics(e), log)
	d := w.LoggedDecider("memcache", e)
	for _, addr := range []string{"192.0.2.1", "203.0.113.1"} {
		c := lists.Client{Addr: netip.MustParseAddr(addr)}
		for range decisionLines {
			d.Decide(t.Context(), c)
		}
		if n := testing.AllocsPerRun(1000, func() { d.Decide(t.Context(), c) }); n != 0 {
			t.Errorf("%s: %v allocations", addr, n)
		}
	}
}

// A fault that is not logged allocates nothing.
func TestFaultsAllocateNothing(t *testing.T) {
	log := logrus.New()
	logschema.Watch(t, log)
	log.SetOutput(io.Discard)
	w := NewRecorder(NewMetrics(newManager(t, "# nothing\n", map[string]string{})), log)
	about := []byte("unknown")
	w.Fault("memcache", policyd.FaultMap, about)
	if n := testing.AllocsPerRun(1000, func() { w.Fault("memcache", policyd.FaultMap, about) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a fault costs that is not logged, to connections that all have it.
func BenchmarkFault(b *testing.B) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	w := NewRecorder(NewMetrics(newManager(b, "# nothing\n", map[string]string{})), log)
	about := []byte("unknown")
	b.ReportAllocs()
	b.SetParallelism(100)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w.Fault("memcache", policyd.FaultMap, about)
		}
	})
}

// What a line costs, beside the decision.
func BenchmarkDecisionLine(b *testing.B) {
	e := newManager(b, conf, map[string]string{"trial.list": "#\n", "deny.list": "192.0.2.1\n"})
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, DisableColors: true})
	w := NewRecorder(NewMetrics(e), log)
	c := lists.Client{Addr: netip.MustParseAddr("192.0.2.1")}
	d := e.Decide(b.Context(), c)
	b.ReportAllocs()
	for b.Loop() {
		w.logDecision("memcache", c, d)
	}
}
