package mtatest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// machine is a machine for one test.
type machine struct{ *mtatest.Machine }

// startMachine boots a machine that lives as long as the test.
func startMachine(t *testing.T) machine {
	t.Helper()
	m, err := mtatest.NewMachine(tempDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Stop(soon(t)); err != nil {
			t.Error(err)
		}
	})
	if err := m.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Journal(soon(t), ""))
		}
	})
	return machine{m}
}

// run runs a program in the machine, which must end with 0, and returns what it wrote.
func (m machine) run(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := m.Run(soon(t), words[0], words[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// killAndStop kills ehlogate, and keeps systemd from starting it again. The restart opens the sockets, and may cancel the job
// that closes them, or follow it.
func (m machine) killAndStop(t *testing.T, units ...string) {
	t.Helper()
	m.run(t, "systemctl kill --signal=KILL ehlogate.service")
	testenv.Eventually(t, "systemd stops "+strings.Join(units, ", "), func() bool {
		if _, err := m.Run(soon(t), "systemctl", append([]string{"stop"}, units...)...); err != nil {
			return false
		}
		states, _ := m.Run(soon(t), "systemctl", append([]string{"is-active"}, units...)...) // it fails unless one is active
		return !slices.ContainsFunc(strings.Fields(states), func(state string) bool { return state != "inactive" && state != "failed" })
	})
}

func (m machine) write(t *testing.T, files map[string]string) {
	t.Helper()
	if err := m.Write(files); err != nil {
		t.Fatal(err)
	}
}

// copy copies a file of this machine into the other; every user may execute it.
func (m machine) copy(t *testing.T, to, from string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Files().WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// show returns a property of ehlogate.service.
func (m machine) show(t *testing.T, property string) string {
	t.Helper()
	value, err := m.Show(soon(t), "ehlogate.service", property)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// logged waits until the journal of ehlogate holds a text.
func (m machine) logged(t *testing.T, text string) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("%q in the journal", text), func() bool {
		journal, err := m.Journal(soon(t), "ehlogate.service")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(journal, text)
	})
}

// TestMachine checks that what happens in a machine is not seen outside, and that nothing of it is left when it has stopped.
func TestMachine(t *testing.T) {
	testenv.Needs(t, "root", "systemd")
	t.Parallel()
	dir := tempDir(t)
	name := filepath.Base(dir)
	m, err := mtatest.NewMachine(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(map[string]string{"etc/" + name: "x"}); err != nil {
		t.Error(err)
	}
	for _, line := range []string{
		"test -e /etc/" + name,
		"touch /usr/" + name,
		"mkdir /run/" + name,
		"mkdir /mnt/" + name + " && mount -t tmpfs x /mnt/" + name,
		"setsid sh -c 'sleep 1000; exit # " + name + "' >/dev/null 2>&1 &",
		"test -w /etc && ! test -w /proc/sys/kernel/panic && ! test -w /sys/kernel",
		"systemctl --quiet is-active systemd-journald && ! systemctl --quiet is-active postfix",
		`test "$(hostname)" = mx.mta.test`,
	} {
		if _, err := m.Run(soon(t), "sh", "-c", line); err != nil {
			t.Error(err)
		}
	}
	if out, err := m.Run(soon(t), "sh", "-c", "echo out; echo err >&2; exit 3"); err == nil || out != "out\nerr\n" {
		t.Errorf("%q, %v", out, err)
	}
	journal, err := m.Journal(soon(t), "systemd-journald.service")
	if err != nil || !strings.Contains(journal, "Journal started") {
		t.Errorf("journal: %q, %v", journal, err)
	}
	conn, err := m.Dial(soon(t), "unix", "/run/systemd/private")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	network := func() string {
		name, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		return name
	}
	var inside string
	err = m.Network().Do(func() error { inside = network(); return nil })
	if outside := network(); err != nil || inside == outside {
		t.Errorf("the network inside is %s, outside %s: %v", inside, outside, err)
	}

	if len(cgroups(t, name)) != 1 || len(mentions(t, name)) == 0 {
		t.Error("this test looks for what is left in the wrong places")
	}
	if err := m.Stop(soon(t)); err != nil {
		t.Error(err)
	}
	if left := append(cgroups(t, name), mentions(t, name)...); len(left) > 0 {
		t.Errorf("there is still: %q", left)
	}
	for _, path := range []string{"/etc/", "/usr/", "/run/", "/mnt/"} {
		if _, err := os.Stat(path + name); !os.IsNotExist(err) {
			t.Errorf("%s: %v", path+name, err)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), name) {
		t.Errorf("mounts are left: %s, %v", mounts, err)
	}
	if err := m.Start(soon(t)); err != nil {
		t.Errorf("once more: %v", err)
	}
	if err := m.Stop(soon(t)); err != nil {
		t.Error(err)
	}
}

// cgroups returns the cgroups with a name that ends so.
func cgroups(t *testing.T, name string) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*"} {
		found, err := filepath.Glob(pattern + name)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// mentions returns the processes with a text in their command line.
func mentions(t *testing.T, text string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(paths, func(path string) bool {
		line, err := os.ReadFile(path)
		return err != nil || !strings.Contains(string(line), text) // an error: gone meanwhile
	})
}
