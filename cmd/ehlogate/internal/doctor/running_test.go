package doctor

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/cpupressure"
	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/cmd/ehlogate/internal/state"
)

// The running daemon is queried only about addresses that files alone decide: decisions that depend on DNS, on the
// load or on a commitment are not compared.
func TestSample(t *testing.T) {
	const (
		deny  = "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"
		zone  = "[[list]]\nname = \"zone\"\naction = \"offer\"\nzones = [{zone = \"list.example\"}]\n"
		names = "[[list]]\nname = \"names\"\naction = \"offer\"\nfiles = [\"names.list\"]\n"
		feed  = "[[list]]\nname = \"feed\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\nformat = \"addresses\"\n"
		off   = "guard.off = true\n"
	)
	dir := t.TempDir()
	for name, text := range map[string]string{"deny.list": "192.0.2.7\n", "names.list": "198.51.100.1\nmail.example.org\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		deny:                          "[192.0.2.7 192.0.2.8 192.0.2.1]",
		"mode = \"observe\"\n" + deny: "[192.0.2.7 192.0.2.8 192.0.2.1]",
		deny + zone:                   "[192.0.2.7]",
		zone + deny:                   "[]",
		"default = \"limit\"\nlimit.offers_per_second = 10\n" + off + deny: "[192.0.2.7]",
		"dns.verify_names = true\n" + names + deny:                         "[]",
		names + deny: "[198.51.100.1 198.51.100.2 192.0.2.7 192.0.2.8 192.0.2.1]",
		"guard.domains = [\"example.org\"]\n" + feed:        "[]",
		"guard.domains = [\"example.org\"]\n" + deny + feed: "[192.0.2.7]",
	} {
		path := filepath.Join(dir, "c.toml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		quiet := logrus.New()
		quiet.SetOutput(io.Discard)
		live := state.New(cfg, nil, time.Now, quiet).Snapshot()
		p, whole := live.FileDecisions()
		if got := fmt.Sprint(sampleAddresses(t.Context(), live, p, whole)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestPressureUnreadable checks that the daemon, which may see less than doctor, says whether there is a CPU pressure, and
// doctor looks by itself if there is no daemon.
func TestPressureUnreadable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.pressure")
	cfg := config.Defaults()
	cfg.Limit = &config.Limit{CPUPressure: 0.2, PressureFile: file}
	examine := func(daemon *running.Status) string {
		e := &exam{ctx: t.Context(), host: new(Host), config: cfg, file: "ehlogate.toml"}
		if e.Daemon = daemon; !onPressure(e) {
			t.Fatal("a config with cpu_pressure has none")
		}
		e.checkPressure()
		return ids(&e.Report)
	}
	const found = "warning pressure-unreadable: ehlogate.toml: limit.cpu_pressure\n"
	works, fails := running.Status{Pressure: new(cpupressure.Status)}, running.Status{Pressure: &cpupressure.Status{Error: "permission denied"}}
	for _, there := range []bool{false, true} {
		if there {
			if err := os.WriteFile(file, []byte("some total=0\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := examine(nil); (got == "") != there || !there && got != found {
			t.Errorf("%t, without a daemon: got %q", there, got)
		}
		if got := examine(&works); got != "" {
			t.Errorf("%t, the daemon reads it: got %q", there, got)
		}
		if got := examine(&fails); got != found {
			t.Errorf("%t, the daemon cannot read it: got %q", there, got)
		}
	}
}

// TestSharedAddress checks that what the daemon noticed is shown, a public address as a note.
func TestSharedAddress(t *testing.T) {
	for addr, want := range map[string]string{"172.17.0.1": "warning shared-address: ehlogate.toml\n", "192.0.2.1": "note shared-address: ehlogate.toml\n"} {
		e := &exam{ctx: t.Context(), host: new(Host), config: config.Defaults(), file: "ehlogate.toml"}
		if e.checkSharedAddress(); len(e.Findings) > 0 {
			t.Errorf("got %+v without a daemon", e.Findings)
		}
		e.Daemon = &running.Status{Shared: &running.SharedAddress{Addr: netip.MustParseAddr(addr), Share: 0.5, Names: 40}}
		if e.checkSharedAddress(); ids(&e.Report) != want || !strings.Contains(e.Findings[0].Why, "50 % of the last sessions, and clients with about 40 HELO names came from it.") {
			t.Errorf("%s: got %+v, want %q", addr, e.Findings, want)
		}
	}
}

// TestOtherVersion checks that a daemon of another version, which uses the config on disk, is no hazard.
func TestOtherVersion(t *testing.T) {
	cfg := config.Defaults()
	for version, want := range map[string]string{"1": "", "2": "warning version-differs: ehlogate.toml\n"} {
		status := running.NewStatus(version, cfg, time.Now(), nil)
		host := &Host{Version: "1", Daemon: func(context.Context, running.Daemon) (*running.Status, error) { return &status, nil }}
		e := &exam{ctx: t.Context(), host: host, config: cfg, file: "ehlogate.toml"}
		e.checkDaemon()
		if got := ids(&e.Report); got != want || !strings.Contains(e.Judged, "which the running daemon uses too") {
			t.Errorf("version %s: got %q and %q, want %q", version, got, e.Judged, want)
		}
	}
}
