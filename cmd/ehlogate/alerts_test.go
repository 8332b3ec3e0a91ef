package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
	"ehlogate/lists/tlsrpt"
)

const (
	rulesFile = "../../examples/prometheus/ehlogate.rules.yml"
	promtool  = "/var/cache/ehlogate-test/prometheus/usr/bin/promtool" // where .ci/deps puts it
	// scrapesPerPhase is how many samples each phase of a recording has.
	scrapesPerPhase = 81
)

// recording has the samples of a daemon in several phases. Each phase is one scrape, repeated: what came before it happened
// in its first interval.
type recording struct {
	interval int // between two samples, in seconds
	phases   []phase
}

type phase struct {
	samples map[string]string
	wall    time.Time // of the scrape
	firing  []string  // the alerts at its end, with their labels
}

func (r *recording) add(d *daemon, firing ...string) {
	d.t.Helper()
	r.addSamples(d.scrape(), firing...)
}

// addAll adds a phase that has the metrics of Go and of the process, too.
func (r *recording) addAll(d *daemon) {
	d.t.Helper()
	r.addSamples(d.scrapeAll())
}

func (r *recording) addSamples(samples map[string]string, firing ...string) {
	samples["up"] = "1"
	r.phases = append(r.phases, phase{samples, time.Now(), firing})
}

// start returns when phase i begins in the time of the recording, in seconds.
func (r *recording) start(i int) int { return i * scrapesPerPhase * r.interval }

// value returns a sample as it is in phase i. Times become those of the recording, which begins with 0.
func (r *recording) value(t *testing.T, series string, i int) string {
	v, ok := r.phases[i].samples[series]
	if !ok {
		return "_"
	}
	if name, _, _ := strings.Cut(series, "{"); !strings.HasSuffix(name, "_timestamp_seconds") && name != "process_start_time_seconds" || v == "0" {
		return v
	}
	seconds, err := strconv.ParseFloat(v, 64)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0, int64(seconds*1e9))
	for n, p := range r.phases {
		if !at.After(p.wall) {
			return fmt.Sprintf("%.3f", float64(r.start(n))-p.wall.Sub(at).Seconds())
		}
	}
	t.Fatalf("%s %s is in the future", series, v)
	return ""
}

// exprTest is a query, and what its result must be at a time of the recording, in the form of promtool.
type exprTest struct {
	Expr    string       `json:"expr"`
	Time    string       `json:"eval_time"`
	Samples []exprSample `json:"exp_samples"`
}

type exprSample struct {
	Labels string  `json:"labels"`
	Value  float64 `json:"value"`
}

// test has promtool say which alerts fire at the end of each phase.
func (r *recording) test(t *testing.T) {
	t.Helper()
	var tests []exprTest
	for i, p := range r.phases {
		e := exprTest{Expr: `ALERTS{alertstate="firing"}`, Time: fmt.Sprintf("%ds", r.start(i+1)-2*r.interval), Samples: []exprSample{}}
		// What an increase sees is over by then, so that it is looked at soon after.
		if strings.Contains(strings.Join(p.firing, " "), "soon") {
			e.Time = fmt.Sprintf("%ds", r.start(i)+150)
		}
		for _, alert := range p.firing {
			if name, labels, _ := strings.Cut(alert, " "); name != "soon" {
				e.Samples = append(e.Samples, exprSample{fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing",job="ehlogate",instance="mx1:10045",%s}`, name, labels), 1})
			}
		}
		tests = append(tests, e)
	}
	r.evaluate(t, tests)
}

// evaluate has promtool evaluate the rules over the recording, and queries. Files of promtool are YAML, of which JSON is a
// part.
func (r *recording) evaluate(t *testing.T, tests []exprTest) {
	t.Helper()
	all := make(map[string]bool)
	for _, p := range r.phases {
		for series := range p.samples {
			all[series] = true
		}
	}
	var input []map[string]string
	for _, series := range slices.Sorted(maps.Keys(all)) {
		var values []string
		for i := range r.phases {
			if v := r.value(t, series, i); v == "_" {
				values = append(values, fmt.Sprintf("_x%d", scrapesPerPhase))
			} else {
				values = append(values, fmt.Sprintf("%s+0x%d", v, scrapesPerPhase-1))
			}
		}
		name, labels, _ := strings.Cut(series, "{")
		labels = strings.TrimPrefix(`job="ehlogate",instance="mx1:10045",`+strings.TrimSuffix(labels, "}"), ",")
		input = append(input, map[string]string{"series": name + "{" + strings.TrimSuffix(labels, ",") + "}", "values": strings.Join(values, " ")})
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(map[string]any{"rule_files": []string{rules}, "evaluation_interval": fmt.Sprintf("%ds", r.interval),
		"tests": []any{map[string]any{"interval": fmt.Sprintf("%ds", r.interval), "input_series": input, "promql_expr_test": tests}}}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.yml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%.3000s", err, out)
	}
}

// hup has the daemon read a config, and waits until it was accepted or refused.
func (d *daemon) reload(conf, metric, value string) {
	d.t.Helper()
	d.writeFile("c.toml", conf)
	d.hup <- syscall.SIGHUP
	d.waitUntil(metric+" is "+value, func() bool { return d.scrape()[metric] == value })
}

// awaitZones waits until the zones of startFullDaemon have passed their first health check.
func (d *daemon) awaitZones() {
	d.t.Helper()
	d.waitUntil("all lists are available", func() bool { return d.scrape()[`ehlogate_list_unavailable{list="dns"}`] == "0" })
}

const (
	errorLabels = `severity="ticket",protocol=%q,reason=%q`
	listLabels  = `severity="ticket",list="deny"`
)

// TestAlerts records a daemon that is well, and one in each fault, and has promtool say which alerts fire.
func TestAlerts(t *testing.T) {
	testenv.Needs(t, "promtool")
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", rulesFile).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("well", func(t *testing.T) {
		d, _ := startFullDaemon(t)
		r := recording{interval: 15}
		d.awaitZones()
		r.add(d)
		for _, addr := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.4", "192.0.2.77", "8.8.8.8"} {
			d.suppressed(addr)
			d.sendMail(addr)
		}
		d.writeFile("deny.list", "192.0.2.4\n192.0.2.5\n")
		d.waitUntil("the edit", func() bool { return d.suppressed("192.0.2.5") })
		r.add(d)
		conf, err := os.ReadFile(filepath.Join(d.dir, "c.toml"))
		if err != nil {
			t.Fatal(err)
		}
		d.reload(strings.ReplaceAll(string(conf), `"trial"`, `"test"`), `ehlogate_list_degraded{list="test"}`, "0")
		r.add(d)
		r.test(t)
	})
	t.Run("faults", func(t *testing.T) {
		d := startJSONDaemon(t, denyList, map[string]string{"deny.list": "192.0.2.1\n"})
		r := recording{interval: 15}
		r.add(d)
		if _, err := queryMemcache(d.connect("memcache"), "starttls:nonsense"); err != nil {
			t.Fatal(err)
		}
		r.add(d, "soon", "EhlogateProtocolErrors "+fmt.Sprintf(errorLabels, "memcache", "key"))
		r.add(d) // nothing more happens
		submission := "request=smtpd_access_policy\nprotocol_state=MAIL\nclient_address=192.0.2.1\nclient_port=4711\nsasl_username=a\nsender=a@example\ninstance=1\n\n"
		if _, err := d.connect("policy").Write([]byte(submission)); err != nil {
			t.Fatal(err)
		}
		const exposed = `ehlogate_protocol_errors_total{protocol="policy",reason="suppressed-submission"}`
		d.waitUntil("the password", func() bool { return d.scrape()[exposed] == "1" })
		r.add(d, `EhlogatePasswordInClear severity="page",protocol="policy",reason="suppressed-submission"`)
		password := r.phases[len(r.phases)-1].firing[0] // for an hour
		d.writeFile("deny.list", "192.0.2.1/33\n")
		d.waitUntil("the refusal", func() bool { return d.scrape()[`ehlogate_list_degraded{list="deny"}`] == "1" })
		r.add(d, password, "EhlogateListDegraded "+listLabels)
		r.test(t)
	})
	t.Run("days", func(t *testing.T) {
		d := startJSONDaemon(t, denyList, map[string]string{"deny.list": "192.0.2.1\n"})
		good, err := os.ReadFile(filepath.Join(d.dir, "c.toml"))
		if err != nil {
			t.Fatal(err)
		}
		r := recording{interval: 240} // so that a phase has more than five hours
		r.add(d)
		d.writeFile("deny.list", "192.0.2.1/33\n")
		d.reload("nonsense = 1\n", "ehlogate_config_degraded", "1")
		d.waitUntil("the refusal", func() bool { return d.scrape()[`ehlogate_list_degraded{list="deny"}`] == "1" })
		degraded := []string{"EhlogateListDegraded " + listLabels, `EhlogateConfigDegraded severity="ticket"`}
		r.add(d, degraded...)
		for range 12 {
			r.phases = append(r.phases, r.phases[1])
		}
		r.add(d, append(degraded, `EhlogateFaultForDays severity="page",list="deny"`, `EhlogateFaultForDays severity="page"`)...)
		d.writeFile("deny.list", "192.0.2.1\n")
		d.reload(string(good), "ehlogate_config_degraded", "0")
		d.waitUntil("the mended list", func() bool { return d.scrape()[`ehlogate_list_degraded{list="deny"}`] == "0" })
		r.add(d)
		r.test(t)
	})
	// What happened before the first scrape is in no increase.
	t.Run("first scrape", func(t *testing.T) {
		d := startJSONDaemon(t, denyList, map[string]string{"deny.list": "not an entry\n"})
		if _, err := queryMemcache(d.connect("memcache"), "starttls:nonsense"); err != nil {
			t.Fatal(err)
		}
		r := recording{interval: 15}
		r.add(d, "soon", "EhlogateProtocolErrors "+fmt.Sprintf(errorLabels, "memcache", "key"), "EhlogateListUnavailable "+listLabels)
		r.add(d, "EhlogateListUnavailable "+listLabels)
		gone := phase{map[string]string{"up": "0"}, time.Now(), []string{`EhlogateDown severity="ticket"`}}
		r.phases = append(r.phases, gone)
		r.test(t)
	})
	t.Run("shared", func(t *testing.T) {
		d := startJSONDaemon(t, limitConfig, map[string]string{"own.list": "10.9.9.9\n", "bogons.list": "169.254.0.0/16\n"})
		r := recording{interval: 15}
		r.add(d)
		d.greetFrom(func(int) string { return "172.17.0.1" })
		r.add(d, `EhlogateSharedAddress severity="ticket"`)
		d.greetFrom(func(int) string { return "8.8.8.8" })
		r.add(d)
		d.greetAs("10.1.1.1", 30)
		d.waitUntil("the names", func() bool { return d.scrape()["ehlogate_shared_address_names"] != "0" })
		r.add(d, `EhlogateSharedNames severity="ticket"`)
		r.test(t)
	})
	t.Run("pressure", func(t *testing.T) {
		kernel := mtatest.StartPressure(t, t.TempDir())
		d := startJSONDaemon(t, fmt.Sprintf(pressureConfig, kernel.File), nil)
		d.waitUntil("the file is read", func() bool { return d.scrape()["ehlogate_limit_degraded"] == "0" })
		r := recording{interval: 15}
		r.add(d)
		kernel.Percent.Store(95)
		d.waitUntil("none is offered STARTTLS", func() bool { return d.scrape()["ehlogate_limit_offers_per_second"] == "0" })
		r.add(d, `EhlogateLimitClosed severity="ticket"`)
		kernel.Stop()
		if err := os.Remove(kernel.File); err != nil {
			t.Fatal(err)
		}
		d.waitUntil("the file is missed", func() bool { return d.scrape()["ehlogate_limit_degraded"] == "1" })
		r.add(d, `EhlogateLimitDegraded severity="ticket"`)
		r.test(t)
	})
	t.Run("TLS report", func(t *testing.T) {
		state := filepath.Join(t.TempDir(), "tlsrpt.json")
		d := startJSONDaemon(t, fmt.Sprintf("tlsrpt = { state = %q }\n%s", state, denyList), map[string]string{"deny.list": "192.0.2.1\n"})
		r := recording{interval: 15}
		r.add(d)
		if err := tlsrpt.Record(state, time.Now(), []tlsrpt.Finding{keptFinding}); err != nil {
			t.Fatal(err)
		}
		d.waitUntil("the report", func() bool { return d.scrape()[`ehlogate_tlsrpt_sessions{list="deny"}`] == "200" })
		r.add(d, "EhlogateMailKept "+listLabels)
		r.test(t)
	})
	t.Run("queries", func(t *testing.T) {
		server := dnstest.StartServer(t, dnstest.NewZone(t, "bl.test", "2.0.0.127 A 127.0.0.2\n"))
		d := startJSONDaemon(t, fmt.Sprintf("guard.off = true\ndns = { resolvers = [%q], timeout = \"10s\", max_lookups = 1 }\n"+
			"[[list]]\nname = \"dns\"\naction = \"suppress\"\nzones = [{zone = \"bl.test\"}]\n", server.Addr), nil)
		r := recording{interval: 15}
		d.awaitZones()
		r.add(d)
		server.Fail("bl.test", dnstest.Fault{Kind: dnstest.Drop})
		c := d.connect("memcache")
		defer c.Close()
		if _, err := io.WriteString(c, "get starttls:8.8.4.4\r\n"); err != nil {
			t.Fatal(err)
		}
		d.waitUntil("a query is in flight", func() bool { return d.scrape()["ehlogate_dns_in_flight"] == "1" })
		d.suppressed("8.8.8.8")
		r.add(d, "soon", `EhlogateQueriesNotSent severity="ticket"`)
		r.test(t)
	})
	t.Run("zone", func(t *testing.T) {
		d, server := startFullDaemon(t)
		r := recording{interval: 15}
		d.awaitZones()
		r.add(d)
		server.Fail("bl.test", dnstest.Fault{Kind: dnstest.ErrorCode})
		d.suppressed("8.8.4.4") // the bogus answer opens the breaker
		const unavailable = `ehlogate_list_unavailable{list="dns"}`
		d.waitUntil("the zone is disabled", func() bool { return d.scrape()[unavailable] == "1" })
		r.add(d, `EhlogateListUnavailable severity="ticket",list="dns"`)
		r.test(t)
	})
}

// TestMetrics has promtool judge /metrics by the conventions of Prometheus, and evaluate the queries of the dashboard.
func TestMetrics(t *testing.T) {
	testenv.Needs(t, "promtool")
	d, server := startFullDaemon(t)
	r := recording{interval: 15}
	d.awaitZones()
	r.addAll(d)
	useEverything(d, server)
	const measured = "ehlogate_decision_seconds_count" // by chance
	for d.scrape()[measured] == r.phases[0].samples[measured] {
		d.suppressed("192.0.2.2")
	}
	r.addAll(d)
	_, body := d.getHTTP("/metrics")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	testDashboard(t, &r)
}
