package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/test/testenv"
)

// startMachine returns a machine with a real systemd, and a function that runs a program there.
func startMachine(t *testing.T) (ctx context.Context, m *mtatest.Machine, run func(name string, args ...string) string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Soon)
	t.Cleanup(cancel)
	dir := filepath.Join(t.TempDir(), fmt.Sprint(t.Name(), os.Getpid())) // its last part names a cgroup
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	m, err := mtatest.NewMachine(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := m.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx, m, func(name string, args ...string) string {
		t.Helper()
		out, err := m.Run(ctx, name, args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// A real systemd lists the sockets that it holds, as long as it holds them.
func TestRealSockets(t *testing.T) {
	testenv.Needs(t, "root", "systemd")
	_, m, run := startMachine(t)
	if err := m.Write(map[string]string{
		"etc/systemd/system/held.socket":      "[Socket]\nListenStream=127.0.0.1:10041\nListenStream=[::1]:10041\nListenStream=10045\nListenStream=/run/held/a.sock\nService=ehlogate.service\n",
		"etc/systemd/system/ehlogate.service": "[Service]\nExecStart=/bin/true\n",
		"etc/systemd/system/other.socket":     "[Socket]\nListenStream=127.0.0.1:10042\n",
		"etc/systemd/system/other.service":    "[Service]\nExecStart=/bin/true\n",
	}); err != nil {
		t.Fatal(err)
	}
	run("systemctl", "daemon-reload")
	for _, held := range []bool{true, false} {
		run("systemctl", map[bool]string{true: "start", false: "stop"}[held], "held.socket")
		sockets := run("systemctl", "list-sockets", "--no-legend", "--plain", "--full")
		for addr, want := range map[string]bool{"127.0.0.1:10041": held, "[::1]:10041": held, "[::1]:10045": held, "127.0.0.1:10045": held, "127.0.0.1:10042": false, "192.0.2.1:10041": false} {
			if _, got := unitAt(sockets, "tcp", addr); got != want {
				t.Errorf("%s: got %v, want %v in\n%s", addr, got, want, sockets)
			}
		}
		for path, want := range map[string]bool{"/run/held/a.sock": held, "/run/held/b.sock": false} {
			if _, got := unitAt(sockets, "unix", path); got != want {
				t.Errorf("%s: got %v, want %v in\n%s", path, got, want, sockets)
			}
		}
	}
}

// A real systemd has limits as they are shipped, and as doctor advises.
func TestRealUnit(t *testing.T) {
	testenv.Needs(t, "root", "systemd")
	ctx, m, run := startMachine(t)
	cfg := config.Defaults()
	cfg.DNS.VerifyNames = true
	host := SavedHost(t.TempDir())
	host.Unit = func() (string, error) { return run("systemctl", "show", "ehlogate"), nil }
	examineUnit := func(resolvers ...string) *Report {
		cfg.DNS.Resolvers = nil
		for _, r := range resolvers {
			cfg.DNS.Resolvers = append(cfg.DNS.Resolvers, netip.MustParseAddrPort(r))
		}
		return Examine(ctx, host, cfg, nil, nil, nil)
	}
	want := func(r *Report, ids ...string) {
		t.Helper()
		var got []string
		for _, f := range r.Findings {
			if strings.HasPrefix(f.ID, "service-") {
				got = append(got, f.Severity.String()+" "+f.ID)
			}
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%q, want %q", got, ids)
		}
	}
	const unitFile, dropIn = "etc/systemd/system/ehlogate.service", "etc/systemd/system/ehlogate.service.d/dns.conf"
	install := func(name, text string) {
		t.Helper()
		if err := m.Write(map[string]string{name: text}); err != nil {
			t.Fatal(err)
		}
		run("systemctl", "daemon-reload")
	}
	const here, away = "127.0.0.1:53", "192.0.2.53:53"
	want(examineUnit(here)) // no such unit
	install(unitFile, example(t, "systemd/ehlogate.service"))
	r := examineUnit(here)
	want(r, "hazard service-no-network")

	install(dropIn, example(t, "systemd/dns.conf"))
	want(examineUnit(here))
	want(examineUnit("[::1]:53"))
	want(examineUnit(away), "hazard service-no-network")
	cfg.Guard.Domains = []string{"example.org"}
	r = examineUnit(here, away)
	want(r, "warning service-no-network", "warning service-no-https")

	// Each advice removes its finding.
	advice := func(id string) string {
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == id })
		return strings.Join(r.Findings[i].Write.Lines, "\n") + "\n"
	}
	first, second := advice("service-no-network"), advice("service-no-https")
	install(dropIn, first)
	want(examineUnit(here, away), "warning service-no-https")
	install(dropIn, second)
	want(examineUnit(here, away))

	install(unitFile, "[Service]\nExecStart=/bin/true\n")
	run("rm", "/"+dropIn)
	run("systemctl", "daemon-reload")
	want(examineUnit(here, away)) // the defaults of systemd allow all addresses
	install(unitFile, "[Service]\nExecStart=/bin/true\nRestrictAddressFamilies=none\n")
	want(examineUnit(here), "hazard service-no-network")
}

// Without systemd there are no findings.
func TestNoSystemd(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if text, err := liveUnit(); text != "" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// No output of systemctl and no resolv.conf crashes the examination.
func FuzzUnit(f *testing.F) {
	f.Add("LoadState=loaded\nPrivateNetwork=yes\nRestrictAddressFamilies=~AF_INET\nIPAddressDeny=::/0 0.0.0.0/0\nIPAddressAllow=127.0.0.0/8 x\n", "nameserver 192.0.2.53\n", "192.0.2.53:53")
	f.Add("PrivateNetwork=no\nIPAddressDeny=any\n=\n\x00", "nameserver fe80::1%eth0\nnameserver\n", "[fe80::1%eth0]:53")
	dir := f.TempDir() // empty, and stays so
	f.Fuzz(func(t *testing.T, show, resolv, addr string) {
		servers := dnsclient.ParseResolvConf([]byte(resolv))
		for _, s := range servers {
			if !s.IsValid() {
				t.Errorf("%v is no server", s)
			}
		}
		if a, err := netip.ParseAddrPort(addr); err == nil {
			servers = append(servers, a)
		}
		cfg := config.Defaults()
		cfg.Guard.Domains, cfg.DNS.Resolvers = []string{"example.org"}, servers
		host := SavedHost(dir)
		host.Unit = func() (string, error) { return show, nil }
		r := Examine(t.Context(), host, cfg, nil, nil, nil)
		for _, found := range r.Findings {
			if found.What == "" || found.Why == "" || found.File == "" {
				t.Errorf("incomplete finding: %+v", found)
			}
		}
	})
}
