package httpapi

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/state"
	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

func asking(t *testing.T, conf string, files map[string]string, server *dnstest.Server) (*state.Manager, func(string) (int, string)) {
	eng := newManager(t, strings.ReplaceAll(conf, "SERVER", server.Addr.String()), files)
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	metrics := telemetry.NewMetrics(eng)
	h := (&API{Manager: eng, Metrics: metrics, Recorder: telemetry.NewRecorder(metrics, logger)}).Handler()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	var wg sync.WaitGroup
	wg.Go(func() { eng.Run(ctx, nil) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return eng, func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
		body, _ := io.ReadAll(w.Result().Body)
		return w.Result().StatusCode, string(body)
	}
}

const blZone = "2.0.0.127 60 IN A 127.0.0.2\n8.8.8.8 60 IN A 127.0.0.2\n"

// The same zone, tested in one list and untested in another: the scrape must not fail.
func TestMetricsOfOneZoneTwice(t *testing.T) {
	server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test.", blZone))
	_, get := asking(t, `
dns = { resolvers = ["SERVER"] }
[[list]]
name = "a"
action = "offer"
zones = [{zone = "bl.test"}]
[[list]]
name = "b"
action = "offer"
zones = [{zone = "bl.test", health_check = false}]
`, map[string]string{}, server)
	if code, body := get("/metrics"); code != 200 {
		t.Errorf("%d: %.600s", code, body)
	}
}

// Reverse DNS is down, so all clients are offered STARTTLS: /healthz has to report it (design 7.2).
func TestHealthWithoutReverseDNS(t *testing.T) {
	server := dnstest.StartServer(t)
	server.Fail(".", dnstest.Fault{Kind: dnstest.Drop})
	eng, get := asking(t, `
default = "suppress"
guard.off = true
dns = { resolvers = ["SERVER"], verify_names = true, timeout = "50ms", wait = "1ms" }
[[list]]
name = "own"
action = "offer"
files = ["own.list"]
`, map[string]string{"own.list": ".google.com\n"}, server)
	n := 0
	testenv.Eventually(t, "reverse DNS is open", func() bool {
		n++
		get("/api/v1/decision?addr=8.8.4." + string("0123456789"[n%10]))
		return eng.Snapshot().DNS.Stats().Names.State == "disabled"
	})
	_, decision := get("/api/v1/decision?addr=8.8.1.1")
	if !strings.Contains(decision, `"reason": "unavailable"`) {
		t.Fatal(decision)
	}
	if code, body := get("/healthz"); code == 200 {
		t.Errorf("%d while list own cannot be asked for anybody: %s", code, body)
	}
}

// The API asks no list that the decision does not ask.
func TestDecisionAsksNoMore(t *testing.T) {
	server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test.", blZone), dnstest.NewZone(t, "slow.test.", blZone))
	eng, get := asking(t, `
dns = { resolvers = ["SERVER"], wait = "100ms" }
[[list]]
name = "own"
action = "offer"
files = ["own.list"]
[[list]]
name = "a"
action = "offer"
zones = [{zone = "bl.test"}]
[[list]]
name = "slow"
action = "offer"
zones = [{zone = "slow.test"}]
`, map[string]string{"own.list": "8.8.8.0/24\n"}, server)
	testenv.Eventually(t, "enabled", func() bool {
		z := eng.Snapshot().DNS.Stats().Zones
		return z[0].State == "enabled" && z[1].State == "enabled"
	})
	server.Forget()
	server.Fail("slow.test.", dnstest.Fault{Kind: dnstest.Drop})
	_, body := get("/api/v1/decision?addr=8.8.8.8")
	if names := server.Names(); len(names) > 0 {
		t.Errorf("the decision is of a file (%v), and it asked %q", strings.Contains(body, `"list": "own"`), names)
	}
}
