package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/telemetry"
	"ehlogate/lists"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

// All that is asked beside the files shows in health, metrics and the API.
func TestReputation(t *testing.T) {
	server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test.", "2.0.0.127 60 IN A 127.0.0.2\n8.8.8.8 60 IN A 127.0.0.2\n"))
	server.Fail("bl.test.", dnstest.Fault{Kind: dnstest.ServFail})
	eng := newManager(t, strings.ReplaceAll(`
default = "limit"
dns = { resolvers = ["SERVER"], wait = "10s" }
limit = { offers_per_second = 0.001 }
guard = { domains = ["example.org"], state = "" }
[[list]]
name = "bots"
action = "suppress"
zones = [{zone = "bl.test"}]
[[list]]
name = "old"
action = "suppress"
files = ["old.list"]
expire_after = "1m"
[[list]]
name = "feed"
action = "offer"
files = ["feed.cidr"]
format = "postfix-cidr"
`, "SERVER", server.Addr.String()), map[string]string{"old.list": "192.0.2.1\n", "feed.cidr": "192.0.2.0/24 permit\n2001:db8:1::/32 permit\n"})
	var log bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&log)
	metrics := telemetry.NewMetrics(eng)
	watch := telemetry.NewRecorder(metrics, logger)
	h := (&API{Manager: eng, Metrics: metrics, Recorder: watch}).Handler()
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1"+path, nil))
		body, err := io.ReadAll(w.Result().Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.Result().StatusCode, string(body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { eng.Run(ctx, nil) })
	await := func(path string, code int, words ...string) {
		t.Helper()
		for {
			got, body := get(path)
			missing := ""
			for _, w := range words {
				if !strings.Contains(body, w) {
					missing = w
				}
			}
			if got == code && missing == "" {
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: %d, and %q never appeared: %s", path, got, missing, body)
			}
			time.Sleep(time.Millisecond) // polls a condition
		}
	}
	await("/healthz", 503, `"unavailable"`, "zone bl.test is disabled", `"active": true`)
	await("/metrics", 200, `ehlogate_dns_zone_enabled{by="address",zone="bl.test"} 0`, `ehlogate_guard_active 1`,
		`ehlogate_guard_committed{dane="unknown",domain="example.org",mta_sts="unknown"} 1`, `ehlogate_list_expired{list="old"} 0`,
		`ehlogate_list_skipped_lines{list="old"} 0`, `ehlogate_list_skipped_lines{list="feed"} 1`, "ehlogate_limit_exhausted 0")
	await("/api/v1/reputation", 200, `"state": "disabled"`, `"commitment": "assumed"`, `"exhausted": false`)
	server.Heal()
	await("/healthz", 200, `"ok"`, `"active": true`, "\"skipped_lines\": {\n    \"feed\": 1\n") // the test of the zone is repeated after a second
	await("/api/v1/lists", 200, `"state": "enabled"`, `"skipped": 1`, `feed.cidr:2:1: 2001:db8:1::/32 has host bits set`)

	// The suppression of the bot is overridden; that is logged, counted, and shown with its reason.
	d := watch.LoggedDecider("memcache", eng).Decide(t.Context(), lists.Client{Addr: netip.MustParseAddr("8.8.8.8")})
	if d.Action != lists.Offer || d.Reason != lists.ReasonLimit || len(d.Observed) != 1 {
		t.Errorf("%s by %s, %+v", d.Action, d.Reason, d.Observed)
	}
	if !strings.Contains(log.String(), "suppression overridden by [guard]") || !strings.Contains(log.String(), "list=bots") {
		t.Errorf("the log says %s", log.String())
	}
	await("/metrics", 200, `ehlogate_overridden_total{list="bots",protocol="memcache"} 1`,
		`ehlogate_dns_queries_total{by="address",result="answered",zone="bl.test"} 1`)
	await("/api/v1/reputation", 200, `"overridden": 1`)
	_, body := get("/api/v1/decision?addr=8.8.8.8")
	var report struct {
		Overridden []struct{ List, Entry string } `json:"overridden"`
		Queries    []struct {
			List  string
			Steps []lists.TraceStep
		}
		Guard struct{ Active bool }
	}
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Overridden) != 1 || report.Overridden[0].List != "bots" || !strings.Contains(report.Overridden[0].Entry, "127.0.0.2") || !report.Guard.Active ||
		len(report.Queries) != 1 || report.Queries[0].List != "bots" || len(report.Queries[0].Steps) != 1 || report.Queries[0].Steps[0].Query != "8.8.8.8.bl.test A" {
		t.Errorf("%s", body)
	}
	if n := server.QueryCount("8.8.8.8.bl.test."); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
