package debtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

// script runs a maintainer script of the Debian package where systemd seems to run, and gives the calls that start and stop
// something.
func script(t *testing.T, queue, name string, args ...string) (calls []string) {
	t.Helper()
	dir := t.TempDir()
	text := strings.NewReplacer(
		"/var/spool/postfix/ehlogate", queue,
		"/var/lib/ehlogate", filepath.Join(dir, "lib"),
		"/etc/ehlogate", filepath.Join(queue, "../etc"),
		"/usr/share/ehlogate", filepath.Join(buildOnce(t).files, "usr/share/ehlogate"),
		"/usr/bin/deb-systemd-helper", filepath.Join(dir, "bin/deb-systemd-helper"),
	).Replace(readFile(t, filepath.Join(buildOnce(t).control, name)))
	return runScript(t, dir, text, args...)
}

// runScript runs a script in dir, with programs of systemd that only note how they are called, and gives the calls.
func runScript(t *testing.T, dir, text string, args ...string) (calls []string) {
	t.Helper()
	bin, log := filepath.Join(dir, "bin"), filepath.Join(dir, "log")
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"deb-systemd-invoke", "deb-systemd-helper", "systemctl", "systemd-sysusers"} {
		text := "#!/bin/sh\necho " + program + ` "$@" >>` + log + "\n"
		if err := os.WriteFile(filepath.Join(bin, program), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-s", "--"}, args...)...)
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(text, "/run/systemd/system", filepath.Join(dir, "run")))
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
	if out := output(t, cmd); out != "" {
		t.Errorf("%s says %s", text, out)
	}
	data, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		calls = append(calls, strings.TrimSpace(line))
	}
	return calls
}

// actions are the calls that start or stop something.
func actions(calls []string) (acts []string) {
	for _, call := range calls {
		if act, ok := strings.CutPrefix(call, "deb-systemd-invoke "); ok {
			acts = append(acts, act)
		}
	}
	return acts
}

// In an upgrade the service is restarted, once, and no socket is stopped or restarted: clients wait there.
func TestScripts(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	const again = "stop ehlogate-export.path ehlogate-export.timer ehlogate-loopback.socket" // debhelper of Debian 14 stops also what is not started
	const sockets = "start ehlogate-http.socket ehlogate.socket"                             // of those that listen already nothing is changed
	for _, c := range []struct {
		about, script string
		args          []string
		want          []string
	}{
		{"installed", "postinst", []string{"configure", ""}, []string{sockets, "start ehlogate.service"}},
		{"upgraded, before", "prerm", []string{"upgrade", "2.0-1"}, nil},
		{"upgraded, old one gone", "postrm", []string{"upgrade", "2.0-1"}, nil},
		{"upgraded", "postinst", []string{"configure", "1.0-1"}, []string{sockets, "restart ehlogate.service"}},
		{"removed", "prerm", []string{"remove"}, []string{
			"stop ehlogate-export.path ehlogate-export.timer ehlogate.socket ehlogate-loopback.socket ehlogate-http.socket ehlogate.service",
			"stop ehlogate.service", "stop ehlogate-http.socket ehlogate.socket"}},
		{"removed, after", "postrm", []string{"remove"}, nil},
		{"purged", "postrm", []string{"purge"}, nil},
	} {
		calls := script(t, filepath.Join(t.TempDir(), "none"), c.script, c.args...)
		got := slices.DeleteFunc(actions(calls), func(act string) bool { return act == again })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.about, got, c.want)
		}
		for _, call := range calls {
			if strings.HasPrefix(call, "systemctl ") && call != "systemctl --system daemon-reload" {
				t.Errorf("%s: %s", c.about, call)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(buildOnce(t).control, "preinst")); err == nil {
		t.Error("got a preinst, want none: what does it stop?")
	}
}

// The user is there before anything is started, and only what is meant to be is enabled.
func TestInstalled(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	calls := script(t, filepath.Join(t.TempDir(), "none"), "postinst", "configure", "")
	if len(calls) == 0 || calls[0] != "systemd-sysusers ehlogate.conf" {
		t.Errorf("first: %q", calls)
	}
	for _, unit := range []string{"ehlogate.socket", "ehlogate-http.socket", "ehlogate.service"} {
		if !slices.Contains(calls, "deb-systemd-helper enable "+unit) {
			t.Errorf("%s is not enabled: %q", unit, calls)
		}
	}
}

// A purge takes the dead sockets away, and the directory only if nothing else lies there.
func TestPurge(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	listen := func(path string) *net.UnixListener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		t.Cleanup(func() { l.Close() })
		return l
	}
	exists := func(path string) bool { _, err := os.Lstat(path); return err == nil }

	queue := filepath.Join(t.TempDir(), "ehlogate")
	if err := os.Mkdir(queue, 0o755); err != nil {
		t.Fatal(err)
	}
	alive := listen(filepath.Join(queue, "milter"))
	listen(filepath.Join(queue, "memcache")).Close()
	if err := os.WriteFile(filepath.Join(queue, "policy"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{"remove", "upgrade"} {
		if script(t, queue, "postrm", arg); !exists(filepath.Join(queue, "memcache")) {
			t.Errorf("%s takes sockets away", arg)
		}
	}
	script(t, queue, "postrm", "purge")
	for name, want := range map[string]bool{"memcache": false, "milter": true, "policy": true} {
		if exists(filepath.Join(queue, name)) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
	alive.Close()
	if err := os.Remove(filepath.Join(queue, "policy")); err != nil {
		t.Fatal(err)
	}
	if script(t, queue, "postrm", "purge"); exists(queue) {
		t.Error("got the directory, want it removed")
	}
}

// Config and lists are made at the first installation and at no other time, never in place of what is there, and a purge
// takes them away, and nothing else.
func TestConfigIsMadeOnce(t *testing.T) {
	testenv.Needs(t, "debhelper", "lintian")
	const toml, allow, deny, never, own = "ehlogate.toml", "lists/allow.list", "lists/deny.list", "lists/never.list", "lists/own.list"
	dir := t.TempDir()
	etc := filepath.Join(dir, "etc")
	run := func(name string, args ...string) { script(t, filepath.Join(dir, "queue"), name, args...) }
	has := func(want ...string) {
		t.Helper()
		for _, name := range []string{toml, allow, deny, never, own} {
			if _, err := os.Lstat(filepath.Join(etc, name)); (err == nil) != slices.Contains(want, name) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	run("postinst", "configure", "1.0-1")
	has()
	if err := os.MkdirAll(filepath.Join(etc, "lists"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(etc, own), []byte("192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("own.list", filepath.Join(etc, allow)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(etc, toml)); err != nil {
		t.Fatal(err)
	}
	run("postinst", "configure", "")
	has(toml, allow, deny, never, own)
	for name, want := range map[string]string{allow: "own.list", toml: "/nowhere"} {
		if got, err := os.Readlink(filepath.Join(etc, name)); got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got := readFile(t, filepath.Join(etc, deny)); got != readFile(t, filepath.Join(buildOnce(t).files, "usr/share/ehlogate", deny)) {
		t.Errorf("%s:\n%s", deny, got)
	}
	if err := os.Remove(filepath.Join(etc, deny)); err != nil {
		t.Fatal(err)
	}
	run("postinst", "configure", "1.0-1")
	run("postrm", "remove")
	has(toml, allow, never, own)
	run("postrm", "purge")
	has(own)
	if err := os.Remove(filepath.Join(etc, own)); err != nil {
		t.Fatal(err)
	}
	if run("postrm", "purge"); !isGone(etc) {
		t.Error("got an empty directory, want it removed")
	}
}

func isGone(path string) bool { _, err := os.Lstat(path); return os.IsNotExist(err) }
