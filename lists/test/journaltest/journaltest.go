// Package journaltest runs a journal for tests: a real systemd-journald in a mount namespace of its own.
package journaltest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ehlogate/lists/test/testenv"
)

// Journal is a running systemd-journald. It ends with the test.
type Journal struct {
	Dir string // its files

	t      testing.TB
	dir    string
	config string
	boots  int
	cmd    *exec.Cmd
	conn   net.Conn
}

// startScript makes the files of the namespace, and becomes systemd-journald.
const startScript = `
mount --make-rprivate /
mount -t tmpfs -o mode=0755 journaltest /run
mkdir -p /run/log/journal /run/systemd
mount --bind "$1/files" /run/log/journal
mount --bind "$1/sockets" /run/systemd
mount -t tmpfs -o mode=0755 journaltest /etc/systemd
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n%s' "$2" >/etc/systemd/journald.conf
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
exec /lib/systemd/systemd-journald
`

// journalctl runs the real one where the journal is, as a child process that can be ended like it.
const journalctl = `#!/bin/sh
exec nsenter --mount --target %d /usr/bin/journalctl "$@"
`

// Start starts systemd-journald with more lines of journald.conf(5), and has journalctl in PATH read its journal until the
// test ends.
func Start(t testing.TB, more string) *Journal {
	t.Helper()
	testenv.Needs(t, "root", "systemd")
	dir, err := os.MkdirTemp("/tmp", "journal") // a short one, for the sockets
	if err != nil {
		t.Fatal(err)
	}
	j := &Journal{Dir: filepath.Join(dir, "files"), t: t, dir: dir, config: more}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{"files", "sockets/journal", "bin"} {
		j.must(os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	j.boot()
	t.Cleanup(j.halt)
	return j
}

// Reboot ends systemd-journald, and starts it again as after a boot of the machine.
func (j *Journal) Reboot() {
	j.t.Helper()
	j.Run("--sync") // else what was logged last may be lost
	j.halt()
	j.boot()
}

func (j *Journal) halt() {
	_ = j.conn.Close()
	_ = j.cmd.Process.Kill()
	_ = j.cmd.Wait()
	if text, _ := os.ReadFile(filepath.Join(j.dir, "log")); j.t.Failed() {
		j.t.Logf("%s", text)
	}
}

func (j *Journal) boot() {
	j.t.Helper()
	j.boots++
	id := fmt.Sprintf("7cc438cb-d6af-41e7-aaf9-%012x\n", j.boots)
	j.must(os.WriteFile(filepath.Join(j.dir, "boot_id"), []byte(id), 0o644))
	out, err := os.Create(filepath.Join(j.dir, "log"))
	j.must(err)
	defer out.Close()
	j.cmd = exec.Command("/bin/sh", "-euc", startScript, "sh", j.dir, j.config)
	j.cmd.Stdout, j.cmd.Stderr = out, out
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	j.must(j.cmd.Start())
	path := filepath.Join(j.dir, "bin/journalctl")
	j.must(os.WriteFile(path+".new", fmt.Appendf(nil, journalctl, j.cmd.Process.Pid), 0o755))
	j.must(os.Rename(path+".new", path))
	testenv.Eventually(j.t, "systemd-journald has a journal of this boot", func() bool {
		text, err := exec.Command(path, "--lines=1", "--quiet", "--boot").Output()
		return err == nil && len(text) > 0
	})
	j.conn, err = net.Dial("unixgram", filepath.Join(j.dir, "sockets/journal/dev-log"))
	j.must(err)
}

func (j *Journal) must(err error) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
}

// Log logs a message as syslog(3) does, with a priority (facility times 8, and level) and a tag.
func (j *Journal) Log(priority int, tag, message string) {
	j.t.Helper()
	_, err := fmt.Fprintf(j.conn, "<%d>%s: %s", priority, tag, message)
	j.must(err)
}

// Run runs journalctl, such as for --rotate.
func (j *Journal) Run(args ...string) string {
	j.t.Helper()
	out, err := exec.Command("journalctl", args...).CombinedOutput()
	if err != nil {
		j.t.Fatalf("journalctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// FindFollowers returns the process ids of the journalctl that a process runs to follow the journal.
func FindFollowers(parent int) (pids []int) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent)) // the pattern is valid
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		for word := range strings.FieldsSeq(string(text)) {
			line, _ := os.ReadFile("/proc/" + word + "/cmdline")
			if pid, err := strconv.Atoi(word); err == nil && strings.Contains(string(line), "\x00--follow\x00") {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
