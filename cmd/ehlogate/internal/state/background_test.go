package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/lists/dnsbl"
	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

const zone = `
2.0.0.127 60 IN A 127.0.0.2
8.8.8.8   60 IN A 127.0.0.2
`

// live is an engine that runs, and a DNS server that it asks.
type live struct {
	*dir
	*Manager
	server *dnstest.Server
	reload chan func()
	stop   func()
}

func newRunning(t *testing.T, conf string) *live {
	r := &live{server: dnstest.StartServer(t, dnstest.NewZone(t, "bl.test.", zone)), reload: make(chan func())}
	r.dir = newDir(t, r.fill(conf))
	r.Manager = r.engine()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	var wg sync.WaitGroup
	wg.Go(func() { r.Run(ctx, r.reload) })
	r.stop = func() { cancel(); wg.Wait() }
	t.Cleanup(r.stop)
	return r
}

// tested waits until zones are asked about clients.
func (r *live) tested() {
	r.t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Millisecond) { // polls a condition
		zones := r.Snapshot().DNS.Stats().Zones
		if len(zones) > 0 && !slices.ContainsFunc(zones, func(z dnsbl.ZoneStats) bool { return z.State != "enabled" }) {
			return
		}
		if time.Since(begun) > testenv.Soon {
			r.t.Fatalf("%+v\n%s", zones, r.dir.log.String())
		}
	}
}

func (r *live) fill(conf string) string {
	return strings.ReplaceAll(conf, "SERVER", r.server.Addr.String())
}

// hup reads conf in place of the config.
func (r *live) hup(conf string) {
	r.t.Helper()
	r.write("c.toml", r.fill(conf))
	done := make(chan struct{})
	r.reload <- func() { close(done) }
	<-done
}

func (r *live) expect(what, addr, want string) {
	r.t.Helper()
	if got := action(r.Manager, addr); got != want {
		r.t.Errorf("%s: %s is %q, want %q\n%s", what, addr, got, want, r.dir.log.String())
	}
}

const askingConf = `
default = "suppress"
guard.off = true
[dns]
resolvers = ["SERVER"]
wait = "10s"
[[list]]
name = "good"
action = "offer"
zones = [{zone = "bl.test"}]
`

// What was found out by DNS outlives a reload that does not change [dns], and
// ends with one that does.
func TestReloadKeepsWhatWasAsked(t *testing.T) {
	r := newRunning(t, askingConf)
	r.tested()
	r.expect("at start", "8.8.8.8", "offer listed")
	r.expect("at start", "8.8.4.4", "suppress default")
	const name = "8.8.8.8.bl.test."
	if n := r.server.QueryCount(name); n != 1 {
		t.Fatalf("asked %d times", n)
	}
	before := r.Snapshot().DNS
	r.hup(askingConf + "threshold = 2\n")
	if r.ReloadError() == nil {
		t.Error("a threshold that is never reached was taken")
	}
	r.hup(strings.Replace(askingConf, `"good"`, `"renamed"`, 1))
	r.expect("after a reload", "8.8.8.8", "offer listed")
	if n := r.server.QueryCount(name); n != 1 || r.Snapshot().DNS != before {
		t.Errorf("asked %d times", n)
	}
	r.hup(strings.Replace(askingConf, "wait", "max_ttl = \"1m\"\nwait", 1))
	r.tested()
	r.expect("with another [dns]", "8.8.8.8", "offer listed")
	if n := r.server.QueryCount(name); n != 2 || r.Snapshot().DNS == before {
		t.Errorf("asked %d times", n)
	}
	r.hup("default = \"suppress\"\nguard.off = true\n")
	r.expect("without lists", "8.8.8.8", "suppress default")
	if r.Snapshot().DNS != nil {
		t.Error("DNS is still asked")
	}
	r.stop() // goleak looks for what is left
}

// A reload that is refused leaves no zone behind.
func TestRefusedReloadAsksNobody(t *testing.T) {
	r := newRunning(t, askingConf)
	r.tested()
	r.expect("at start", "8.8.8.8", "offer listed")
	r.hup(askingConf + `
[[list]]
name = "more"
action = "offer"
zones = [{zone = "other.test"}]
[[list]]
name = "broken"
action = "offer"
files = ["missing.list"]
`)
	if r.ReloadError() == nil {
		t.Fatal("a new list that cannot be loaded was taken")
	}
	if zones := r.Snapshot().DNS.Stats().Zones; len(zones) != 1 || zones[0].Zone.String() != "bl.test" {
		t.Errorf("zones %+v", zones)
	}
	r.expect("after it", "8.8.8.8", "offer listed")
}

// The outcome of shedding outlives a reload, too.
func TestReloadKeepsShed(t *testing.T) {
	const conf = "default = \"limit\"\nguard.off = true\nlimit = { offers_per_second = 0.01, keep = \"1h\" }\n"
	r := newRunning(t, conf)
	r.expect("the first", "192.0.2.1", "offer limit")
	r.expect("the second", "192.0.2.2", "suppress limit")
	r.hup(conf + "always_hide = [\"dsn\"]\n")
	r.expect("after a reload", "192.0.2.3", "suppress limit")
	r.hup(strings.Replace(conf, "0.01", "0.02", 1))
	r.expect("with another rate", "192.0.2.4", "offer limit")
}

// TestReloadKeepsPressure: what was learned of the load outlives a reload with the same [limit], and no other.
func TestReloadKeepsPressure(t *testing.T) {
	const conf = "default = \"limit\"\nguard.off = true\nlimit = { cpu_pressure = \"20%\", pressure_file = \"/none\" }\n"
	r := newRunning(t, conf)
	first := r.Snapshot().Pressure
	r.hup(conf + "always_hide = [\"dsn\"]\n")
	if got := r.Snapshot(); first == nil || got.Pressure != first || got.Limiter != r.Snapshot().Policy.Limit {
		t.Errorf("%p became %p after a reload that does not concern it", first, got.Pressure)
	}
	r.hup(strings.Replace(conf, "20%", "30%", 1))
	if got := r.Snapshot(); got.Pressure == first || got.Pressure.Options().Target != 0.3 {
		t.Errorf("%p stays with another cpu_pressure", first)
	}
	r.hup(strings.Replace(conf, `cpu_pressure = "20%", pressure_file = "/none"`, "offers_per_second = 5", 1))
	if got := r.Snapshot(); got.Pressure != nil || got.Limiter == nil {
		t.Error("a limit without cpu_pressure follows the pressure")
	}
	r.hup("# the defaults\n")
	if got := r.Snapshot(); got.Pressure != nil || got.Limiter != nil {
		t.Error("there is a limit that the config does not have")
	}
}

// While it is not known what the domains published, nothing is suppressed except by the
// operator's own lines; the guard outlives a reload that does not change it.
func TestGuard(t *testing.T) {
	conf := `
default = "suppress"
dns = { resolvers = ["SERVER"], timeout = "50ms" }
guard = { domains = ["example.org"], state = "" }
` + deny
	server := dnstest.StartServer(t)
	server.Fail(".", dnstest.Fault{Kind: dnstest.ServFail})
	d := newDir(t, strings.ReplaceAll(conf, "SERVER", server.Addr.String()))
	d.write("deny.list", "192.0.2.1\n")
	r := &live{dir: d, Manager: d.engine(), server: server}
	r.expect("own line", "192.0.2.1", "suppress listed")
	r.expect("default", "192.0.2.2", "offer guard")
	before := r.Snapshot().Guard
	d.write("deny.list", "192.0.2.3\n")
	if err := r.Manager.Reload(t.Context()); err != nil || r.Snapshot().Guard != before {
		t.Errorf("another guard after a reload, %v", err)
	}
	stop := r.RunOnce(t.Context(), 10*time.Second)
	defer stop()
	if st := r.Snapshot().Guard.Report(); !st.Active || !strings.Contains(fmt.Sprint(st), "SERVFAIL") && !strings.Contains(fmt.Sprint(st), "servfail") {
		t.Errorf("%+v", st)
	}
}

// A list whose files grow too old is unavailable until they are new again.
func TestStaleList(t *testing.T) {
	d := newDir(t, deny+"expire_after = \"1m\"\n")
	d.write("deny.list", "192.0.2.1\n")
	now := time.Now()
	var mu sync.Mutex
	e := d.engine()
	e.clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Soon)
	var wg sync.WaitGroup
	wg.Go(func() { e.Run(ctx, nil) })
	defer wg.Wait()
	defer cancel()
	await := func(want string) {
		t.Helper()
		if err := testenv.Await(ctx, func() (bool, error) { return action(e, "192.0.2.1") == want, nil }); err != nil {
			t.Fatalf("got %q, want %q: %v\n%s", action(e, "192.0.2.1"), want, err, d.log.String())
		}
	}
	await("suppress listed")
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	await("offer default")
	for !strings.Contains(d.log.String(), "older than expire_after") {
		if ctx.Err() != nil {
			t.Fatalf("the log does not tell: %s", d.log.String())
		}
		time.Sleep(time.Millisecond) // polls a condition
	}
	mu.Lock()
	now = now.Add(-2 * time.Minute)
	mu.Unlock()
	await("suppress listed")
}
