package stresstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// attacker is set for a process of this program that attacks: which attack, then the target. It is a process of its own for
// the clients not to wait for it.
const attacker = "EHLOGATE_TEST_ATTACK"

// attackUntilTold is that process.
func attackUntilTold(words []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	conns, err := strconv.Atoi(words[4])
	if err != nil {
		return err
	}
	for _, a := range Attacks() {
		if a.Name == words[0] {
			return a.Run(ctx, Target{Protocol: words[1], Network: words[2], Addr: words[3], Conns: conns})
		}
	}
	return errors.New("no such attack")
}

// attack starts one; the end of it waits until it is over.
func (g *daemon) attack(t testing.TB, name, protocol string, conns int) (end func()) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	to := g.targets[protocol]
	words := strings.Join([]string{name, protocol, to.Network, to.Addr, strconv.Itoa(conns)}, "|")
	a := mtatest.NewDaemon(filepath.Dir(g.Log.Path()), "attack-"+protocol, "/usr/bin/env", nil,
		attacker+"="+words, "GORACE=atexit_sleep_ms=0", self)
	must(t, a.Start(soon(t)))
	return func() {
		t.Helper()
		if code, err := a.Term(soon(t)); err != nil || code != 0 {
			t.Errorf("the attack on %s could not be carried out: %d, %v\n%s", protocol, code, err, a.Log.Tail(5))
		}
	}
}

func TestMain(m *testing.M) {
	testenv.LeaveRaceDetectorToPrograms()
	if words := os.Getenv(attacker); words != "" {
		if err := attackUntilTold(strings.Split(words, "|")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		mtatest.RemovePrograms()
		os.Exit(code)
	}))
}

// soon is a context for what ought to happen soon.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Soon)
	t.Cleanup(cancel)
	return ctx
}

// must fails the test at once.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// daemon is a running ehlogate that serves all protocols.
type daemon struct {
	*mtatest.Daemon
	dir     string
	targets map[string]Target
}

// start starts one; listen is a line for that section of its config.
func start(t testing.TB, race bool, network, listen string) *daemon {
	t.Helper()
	dir, err := mtatest.TempDir()
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ports, err := mtatest.FreePorts(len(Protocols))
	must(t, err)
	g := &daemon{dir: dir, targets: map[string]Target{}}
	config := "[listen]\n" + listen + "\n"
	for i, p := range Protocols {
		addr := fmt.Sprintf("127.0.0.1:%d", ports[i])
		if network == "unix" {
			addr = filepath.Join(dir, p+".sock")
		}
		g.targets[p] = Target{Protocol: p, Network: network, Addr: addr}
		config += fmt.Sprintf("%s = [%q]\n", p, addr)
	}
	config += `
[milter]
add_header = true
[[list]]
name = "deny"
action = "suppress"
files = ["deny.list"]
[[list]]
name = "strict"
action = "require"
files = ["strict.list"]
`
	logs, err := mtatest.TempDir() // elsewhere: a list's directory is watched
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(logs) })
	g.Daemon = mtatest.StartFixture(t, mtatest.Fixture{
		Dir: dir, Config: config, Files: map[string]string{"deny.list": list, "strict.list": strict}, Race: race,
		Ready: mtatest.ReadyLog(regexp.MustCompile("msg=serving")), LogDir: logs,
	})
	return g
}

// status gives a figure of /proc/PID/status in KiB: VmRSS, or VmHWM, its peak.
func (g *daemon) status(t testing.TB, key string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.Pid()))
	must(t, err)
	for line := range strings.Lines(string(text)) {
		var kib int
		if n, _ := fmt.Sscanf(line, key+": %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatalf("no %s in %s", key, text)
	return 0
}

// forget begins the peak anew.
func (g *daemon) forget(t testing.TB) {
	t.Helper()
	must(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.Pid()), []byte("5"), 0))
}

// metrics are those of the daemon, by name with labels.
func (g *daemon) metrics(t testing.TB) map[string]float64 {
	t.Helper()
	to := g.targets["http"]
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, to.Network, to.Addr)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: dial}
	resp, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get("http://ehlogate/metrics")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			out[name] = v
		}
	}
	return out
}

// footprint is what a daemon has while no client asks it.
type footprint struct{ goroutines, files, conns int }

func (g *daemon) footprint(t testing.TB) footprint {
	t.Helper()
	m := g.metrics(t)
	f := footprint{goroutines: int(m["go_goroutines"]), files: int(m["process_open_fds"])}
	for name, v := range m {
		if strings.HasPrefix(name, "ehlogate_connections{") {
			f.conns += int(v)
		}
	}
	return f
}

// settles waits until the daemon has no more than it had.
func (g *daemon) settles(t testing.TB, before footprint) {
	t.Helper()
	var now footprint
	defer func() {
		if t.Failed() {
			t.Logf("before %+v, now %+v", before, now)
		}
	}()
	testenv.Eventually(t, "goroutines, descriptors and connections go back", func() bool {
		now = g.footprint(t)
		return now.goroutines <= before.goroutines+2 && now.files <= before.files+2 && now.conns <= before.conns
	})
}
