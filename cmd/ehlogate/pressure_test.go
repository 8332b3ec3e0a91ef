package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

const pressureConfig = "default = \"limit\"\nguard.off = true\nlimit = { cpu_pressure = \"20%%\", pressure_file = %q }\n"

// TestPressure follows a limit by CPU pressure through all that shows it.
func TestPressure(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cpu.pressure")
	d := startDaemon(t, fmt.Sprintf(pressureConfig+`
[[list]]
name = "allow"
action = "offer"
files = ["allow.list"]
`, file), map[string]string{"allow.list": "192.0.2.1\n"})
	client := 0
	stranger := func() string { client++; return fmt.Sprintf("198.51.%d.%d", 100+client>>8, client&255) }
	metric := func(name, value string) func() bool { return func() bool { return d.scrape()[name] == value } }
	shows := func(path string, words ...string) {
		t.Helper()
		if _, body := d.getHTTP(path); !containsAll(body, words...) {
			t.Errorf("%s lacks one of %q: %s", path, words, body)
		}
	}

	d.waitUntil("the file is missed", metric("ehlogate_limit_degraded", "1"))
	shows("/healthz", `"status": "degraded"`, `"[limit] cpu_pressure: `, `"pressure": {`, file+": no such file")
	shows("/api/v1/status", file+": no such file")
	if d.suppressed(stranger()) {
		t.Error("there is a limit without a pressure")
	}
	d.waitUntil("the log says so", func() bool {
		return strings.Contains(d.log.String(), "cpu_pressure has no effect: clients on no list are offered STARTTLS without a limit")
	})

	kernel := mtatest.StartPressure(t, dir)
	d.waitUntil("the file is read", metric("ehlogate_limit_degraded", "0"))
	if d.suppressed(stranger()) {
		t.Error("there is a limit without pressure")
	}
	shows("/healthz", `"status": "ok"`, `"offers_per_second": null`)

	kernel.Percent.Store(95)
	d.waitUntil("none is offered STARTTLS", metric("ehlogate_limit_offers_per_second", "0"))
	refused := stranger()
	if !d.suppressed(refused) || d.suppressed("192.0.2.1") {
		t.Error("a client on no list is offered STARTTLS, or one on an offer list is not")
	}
	shows("/api/v1/decision?addr="+refused, `"reason": "pressure"`, `"target": 0.2`, `"offers_per_second": 0`)
	shows("/api/v1/reputation", `"refused_by_pressure": 1`, `"exhausted": true`, `"offers_per_second": 0`)
	if n := d.scrape()["ehlogate_limit_refused_total"]; n != "1" {
		t.Errorf("ehlogate_limit_refused_total is %s", n)
	}
	for _, words := range []string{"reason=pressure", "the CPU is short: pressure"} {
		d.waitUntil(words, func() bool { return strings.Contains(d.log.String(), words) })
	}

	// A reload with the same [limit] keeps what was learned of the load; without the file there is no limit.
	config, err := os.ReadFile(filepath.Join(d.dir, "c.toml"))
	if err != nil {
		t.Fatal(err)
	}
	d.reload(string(config)+"\n[[list]]\nname = \"more\"\naction = \"offer\"\nfiles = [\"allow.list\"]\n", `ehlogate_list_entries{list="more"}`, "1")
	if n := d.scrape()["ehlogate_limit_offers_per_second"]; n != "0" || !d.suppressed(stranger()) {
		t.Errorf("%s offers a second after a reload", n)
	}
	kernel.Stop()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	d.waitUntil("the file is missed", metric("ehlogate_limit_degraded", "1"))
	if d.suppressed(stranger()) || !d.suppressed(refused) {
		t.Error("there is a limit without a pressure, or a client does not keep its decision")
	}
}

func containsAll(s string, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}
