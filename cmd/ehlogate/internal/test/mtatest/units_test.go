package mtatest_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// unitFiles returns the examples for systemd by name.
func unitFiles(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(examples, "systemd"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		files[e.Name()] = example(t, "systemd/"+e.Name())
	}
	return files
}

// TestUnitFiles has systemd look over the unit files, and say how exposed the service is: 0 is not at all, 10 is root.
func TestUnitFiles(t *testing.T) {
	testenv.Needs(t, "systemd")
	t.Parallel()
	files := unitFiles(t)
	for name, most := range map[string]float64{"": 0.3, "dns.conf": 1.0, "logs.conf": 0.4, "logs-journal.conf": 0.4} {
		if _, ok := files[name]; !ok && name != "" {
			t.Fatalf("no %s", name)
		}
		path, err := mtatest.Program(testenv.RacePrograms)
		if err != nil {
			t.Fatal(err)
		}
		dir := tempDir(t)
		var units []string
		for unit, text := range files {
			if strings.HasSuffix(unit, ".conf") {
				continue
			}
			units = append(units, filepath.Join(dir, unit))
			if unit == "ehlogate.service" && name != "" {
				text += "\n" + files[name] // what a drop-in is
			}
			text = strings.ReplaceAll(text, "/usr/bin/ehlogate", path)
			if err := os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		verify := append([]string{"verify", "--man=no"}, units...) // the manual is not installed
		if out, err := exec.CommandContext(soon(t), "systemd-analyze", verify...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %v\n%s", units, err, out)
		}
		service := filepath.Join(dir, "ehlogate.service")
		out, err := exec.CommandContext(soon(t), "systemd-analyze", "security", "--offline=true", service).Output()
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`exposure level for ehlogate.service: ([0-9.]+)`).FindSubmatch(out)
		if found == nil {
			t.Fatalf("no exposure in\n%s", out)
		}
		exposure, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("ehlogate.service %s: exposure %.1f", name, exposure)
		if exposure > most {
			t.Errorf("ehlogate.service %s: exposure %.1f, want at most %.1f\n%s", name, exposure, most, out)
		}
	}
}

const (
	unitsLists = "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"deny.list\"]\n"
	unitsDeny  = "192.0.2.7\n"
)

// newUnits boots a machine in which the units are installed by hand, and the service runs.
func newUnits(t *testing.T) machine {
	t.Helper()
	m := startMachine(t)
	// Without the race detector: with it the program needs libraries, and it is its only file that may be executed.
	path, err := mtatest.Program(false)
	if err != nil {
		t.Fatal(err)
	}
	m.copy(t, "usr/bin/ehlogate", path)
	files := map[string]string{
		"etc/ehlogate/ehlogate.toml": unitsLists,
		"etc/ehlogate/deny.list":     unitsDeny,
	}
	for name, text := range unitFiles(t) {
		if !strings.HasSuffix(name, ".conf") {
			files["etc/systemd/system/"+name] = text
		}
	}
	m.write(t, files)
	m.run(t, "useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin ehlogate")
	m.run(t, "systemctl daemon-reload")
	m.run(t, "systemctl enable --now ehlogate.service")
	return m
}

// field returns the words of a line of /proc/PID/status.
func field(status, name string) []string {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Fields(value)
		}
	}
	return nil
}

// replaced waits until the service is active, with another process.
func (m machine) replaced(t *testing.T, before string) {
	t.Helper()
	testenv.Eventually(t, "another process", func() bool {
		return m.show(t, "MainPID") != before && m.show(t, "ActiveState") == "active"
	})
}

// TestUnits runs the service under a real systemd.
func TestUnits(t *testing.T) {
	testenv.Needs(t, "root", "systemd", "Postfix")
	t.Parallel()
	m := newUnits(t)
	all := queries("192.0.2.7", true)

	t.Run("active", func(t *testing.T) {
		if typ, state := m.show(t, "Type"), m.show(t, "ActiveState"); !strings.HasPrefix(typ, "notify") || state != "active" {
			t.Errorf("type %s, %s", typ, state)
		}
		m.answers(t, all)
		m.answers(t, queries("192.0.2.8", false))
	})

	t.Run("confined", func(t *testing.T) {
		status, err := m.Files().ReadFile("proc/" + m.show(t, "MainPID") + "/status")
		if err != nil {
			t.Fatal(err)
		}
		user := strings.Fields(m.run(t, "id --user ehlogate"))[0]
		const none = "0000000000000000"
		for name, want := range map[string]string{
			"CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2", "Uid": user,
		} {
			if got := field(string(status), name); len(got) == 0 || got[0] != want {
				t.Errorf("%s: %q, want %s", name, got, want)
			}
		}
	})

	t.Run("killed", func(t *testing.T) {
		before, held := m.show(t, "MainPID"), m.held(t)
		// Not at the HTTP socket: it serves 64 connections, and those that knock while no daemon runs would crowd out the question.
		stop := m.knocking(t, queue+"memcache", queue+"socketmap", queue+"policy", queue+"milter")
		m.run(t, "kill -KILL "+before)
		testenv.Eventually(t, "the killed process is gone", func() bool { // else it may take a question, and die over it
			status, err := m.Files().ReadFile("proc/" + before + "/status")
			return err != nil || strings.Contains(string(status), "State:\tZ")
		})
		m.answers(t, all)
		m.replaced(t, before)
		t.Logf("%d connections, none refused", stop())
		if after := m.held(t); !maps.Equal(after, held) {
			t.Errorf("sockets %v, before %v", after, held)
		}
	})

	t.Run("hung", func(t *testing.T) {
		before := m.show(t, "MainPID")
		stop := m.knocking(t, queue+"memcache", queue+"socketmap")
		m.run(t, "kill -STOP "+before)
		m.logged(t, "Watchdog timeout")
		m.logged(t, "SIGABRT: abort") // with the stacks of all that it does
		m.replaced(t, before)
		t.Logf("%d connections, none refused", stop())
		m.answers(t, all) // connections that the old process accepted when it was continued to die are lost with it
	})

	t.Run("reload", func(t *testing.T) {
		before := m.show(t, "MainPID")
		m.write(t, map[string]string{
			"etc/ehlogate/ehlogate.toml": strings.Replace(unitsLists, "deny.list", "other.list", 1),
			"etc/ehlogate/other.list":    "192.0.2.9\n",
		})
		m.run(t, "systemctl reload ehlogate")
		testenv.Eventually(t, "the changed config", func() bool { return m.sendQuestion(soon(t), queries("192.0.2.9", true)[0]) == nil })
		m.answers(t, queries("192.0.2.7", false))
		m.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": "nonsense = 1\n"})
		m.run(t, "systemctl reload ehlogate")
		testenv.Eventually(t, "the error in the status", func() bool {
			return strings.Contains(m.show(t, "StatusText"), `unknown key "nonsense"`)
		})
		m.answers(t, queries("192.0.2.9", true))
		m.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": unitsLists})
		m.run(t, "systemctl reload ehlogate")
		testenv.Eventually(t, "the first config", func() bool { return m.sendQuestion(soon(t), all[0]) == nil })
		testenv.Eventually(t, "no error in the status", func() bool { return m.show(t, "StatusText") == "" })
		if after := m.show(t, "MainPID"); after != before {
			t.Errorf("process %s, before %s", after, before)
		}
	})

	t.Run("broken config", func(t *testing.T) {
		held := m.held(t)
		m.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": "nonsense = 1\n"})
		if out, err := m.Run(soon(t), "systemctl", "restart", "ehlogate"); err == nil {
			t.Errorf("started on a broken config: %s", out)
		}
		// Were it to be started again, it would be activating.
		for property, want := range map[string]string{"ActiveState": "failed", "ExecMainStatus": "78"} {
			if got := m.show(t, property); got != want {
				t.Errorf("%s is %s, want %s", property, got, want)
			}
		}
		m.logged(t, `unknown key "nonsense"`)
		// Each client that connects now has it started, in vain, again and again. That must not go so fast that systemd closes the socket.
		stop := m.knocking(t, queue+"memcache", queue+"socketmap")
		time.Sleep(3 * time.Second) // systemd counts for two
		t.Logf("%d connections, none refused", stop())
		if after := m.held(t); !maps.Equal(after, held) {
			t.Errorf("sockets %v, before %v", after, held)
		}
		m.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": unitsLists})
		m.run(t, "systemctl restart ehlogate")
		m.answers(t, all)
	})

	t.Run("an address that is not held", func(t *testing.T) {
		m.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": "[listen]\nmemcache = [\"127.0.0.1:10099\"]\n" + unitsLists})
		m.run(t, "systemctl restart ehlogate")
		m.logged(t, `cannot listen on this address; the other sockets are served" error="cannot listen on`)
		m.answers(t, append(all[:4:4], query{"127.0.0.1:10045", "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 503"}))
		m.write(t, map[string]string{"etc/ehlogate/ehlogate.toml": unitsLists})
		m.run(t, "systemctl restart ehlogate")
		m.answers(t, all)
	})

	t.Run("loopback", func(t *testing.T) {
		m.run(t, "systemctl enable ehlogate-loopback.socket")
		m.run(t, "systemctl restart ehlogate")
		m.answers(t, append(loopback("192.0.2.7"), all...))
	})
}
