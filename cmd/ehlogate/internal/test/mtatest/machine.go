package mtatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// Machine is a system of its own: a real systemd as process 1, with namespaces, a cgroup and a loopback network of its own, on
// a view of this machine's files that it may write to without changing them. Of the services that this machine has, the
// journal alone is started. Its kernel is ours, so process 1 may not write to /proc/sys and /sys, and what would load modules
// or talk to devices is not there. It takes CAP_SYS_ADMIN, overlayfs and cgroup2.
//
// All methods but Start and Stop may be used by many goroutines.
type Machine struct {
	Console *Log // what process 1 said before there was a journal

	dir    string // where its files are mounted
	cgroup string
	init   *child
	files  *os.Root
	net    *netns.Namespace
}

// NewMachine describes a machine that has its files in dir; nothing runs yet. It fails if this machine cannot have one: the
// error says what is missing.
func NewMachine(dir string) (*Machine, error) {
	switch _, err := os.Stat(systemd); {
	case err != nil:
		return nil, fmt.Errorf("systemd is needed (Debian: apt-get install systemd): %w", err)
	case os.Geteuid() != 0:
		return nil, errors.New("a machine can be started by root only")
	}
	root, err := cgroupRoot()
	if err != nil {
		return nil, err
	}
	return &Machine{
		Console: &Log{path: filepath.Join(dir, "console")},
		dir:     dir,
		cgroup:  filepath.Join(root, "mtatest-"+filepath.Base(dir)),
	}, nil
}

// Start boots the machine and returns when it has booted. After an error nothing runs.
func (m *Machine) Start(ctx context.Context) error {
	if m.init != nil {
		return errors.New("starting a machine: it runs already")
	}
	err := m.bootRoot()
	if err == nil {
		err = m.await(ctx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("starting a machine: %w\n%s", err, m.Console.Tail(30)), m.Stop(ctx))
	}
	return nil
}

// bootRoot starts process 1.
func (m *Machine) bootRoot() error {
	seed := filepath.Join(m.dir, "seed")
	if err := writeFiles(seed, machineFiles); err != nil {
		return err
	}
	if err := os.Mkdir(m.cgroup, 0o755); err != nil {
		return fmt.Errorf("a cgroup for it is needed (in a container: one that may write to its cgroups): %w", err)
	}
	cgroup, err := os.Open(m.cgroup)
	if err != nil {
		return fmt.Errorf("opening its cgroup: %w", err)
	}
	defer cgroup.Close()
	out, err := os.OpenFile(m.Console.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening its console: %w", err)
	}
	defer out.Close()
	// The namespace of cgroups comes last: it has for its root the cgroup that the process is in when it makes one.
	args := []string{"--cgroup", "/bin/sh", "-euc", bootScript, "sh", m.dir, systemd}
	goDirs, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("asking for the directories of Go: %w", err)
	}
	cmd := exec.Command("/usr/bin/unshare", append(args, strings.Fields(string(goDirs))...)...)
	cmd.Env = []string{"container=mtatest", machinePath, "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = childAttr(syscall.SIGKILL)
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(cgroup.Fd())
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC |
		syscall.CLONE_NEWNET
	m.init, err = startChild(cmd)
	switch {
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("namespaces of its own are needed (CAP_SYS_ADMIN; in a container: a privileged one): %w", err)
	case err != nil:
		return fmt.Errorf("starting process 1: %w", err)
	}
	return nil
}

// await returns when the machine has booted.
func (m *Machine) await(ctx context.Context) error {
	proc := fmt.Sprintf("/proc/%d", m.init.pid())
	// Until the shell that made its root has become systemd, what is run "in the machine" would be run here.
	err := testenv.Await(ctx, func() (bool, error) {
		if exit, ended := m.init.exited(); ended {
			return false, fmt.Errorf("its root could not be made (overlayfs is needed, and the right to mount): %w", exit)
		}
		name, err := os.ReadFile(proc + "/comm")
		return string(name) == filepath.Base(systemd)+"\n", err
	})
	if err != nil {
		return err
	}
	if m.files, err = os.OpenRoot(proc + "/root"); err != nil {
		return fmt.Errorf("opening its files: %w", err)
	}
	if m.net, err = netns.Of(m.init.pid()); err != nil {
		return err
	}
	var state string
	err = testenv.Await(ctx, func() (bool, error) {
		if exit, ended := m.init.exited(); ended {
			return false, fmt.Errorf("process 1 ended: %w", exit)
		}
		state, _ = m.Run(ctx, "systemctl", "is-system-running") // it fails until all is well
		state = strings.TrimSpace(state)
		return state == "running" || state == "degraded", nil
	})
	if err == nil && state == "running" {
		return nil
	}
	failed, _ := m.Run(ctx, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
	jobs, _ := m.Run(ctx, "systemctl", "list-jobs", "--plain", "--no-legend")
	if err == nil {
		err = errors.New("units failed")
	}
	return fmt.Errorf("booting: %w; it says %q; failed: %q; waiting: %q", err, state, failed, jobs)
}

// Files are the machine's files. Names are relative to its root; symbolic links with an absolute target are not followed.
func (m *Machine) Files() *os.Root { return m.files }

// Write writes files that every user may read, making folders as needed: name, relative to the machine's root, and content. A
// file that exists is replaced, as an editor does it.
func (m *Machine) Write(files map[string]string) error {
	for name, text := range files {
		if err := m.files.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("making the folder of %s: %w", name, err)
		}
		if err := m.files.WriteFile(name+".new", []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot write %s: %w", name, err)
		}
		if err := m.files.Rename(name+".new", name); err != nil {
			return fmt.Errorf("putting %s in place: %w", name, err)
		}
	}
	return nil
}

// Run runs a program in the machine, as root, and returns what it wrote to its standard output and error. The error says the
// same if it did not end with 0.
func (m *Machine) Run(ctx context.Context, name string, args ...string) (string, error) {
	if m.init == nil {
		return "", fmt.Errorf("running %s: the machine does not run", name)
	}
	pid := fmt.Sprint(m.init.pid())
	enter := []string{"--target", pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--", name}
	cmd := exec.CommandContext(ctx, "/usr/bin/nsenter", append(enter, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = []string{machinePath, "HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	cmd.SysProcAttr = childAttr(syscall.SIGKILL)
	cmd.WaitDelay = 10 * time.Second // what it started may still hold its output
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.Bytes())
	}
	return out.String(), nil
}

// Journal returns what a unit wrote to the journal, and what systemd says of it there; all there is if unit is empty.
func (m *Machine) Journal(ctx context.Context, unit string) (string, error) {
	args := []string{"--no-pager", "--output=short-precise", "--no-hostname"}
	if unit != "" {
		args = append(args, "--unit="+unit)
	}
	return m.Run(ctx, "journalctl", args...)
}

// Show returns a property of a unit, as systemctl show has it.
func (m *Machine) Show(ctx context.Context, unit, property string) (string, error) {
	value, err := m.Run(ctx, "systemctl", "show", "--value", "--property="+property, unit)
	return strings.TrimSpace(value), err
}

// Network is the machine's network.
func (m *Machine) Network() *netns.Namespace { return m.net }

// Dial connects to a TCP address, or the absolute path of a unix socket, in the machine.
func (m *Machine) Dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	if network == "unix" {
		addr = m.files.Name() + addr
	}
	err = m.net.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Stop ends the machine, all that runs in it, and returns when nothing is left of it. Stopping a stopped one does nothing.
func (m *Machine) Stop(ctx context.Context) error {
	var err error
	if m.init != nil {
		err = m.init.endProcess(ctx, syscall.SIGKILL) // with process 1 all of them end, before it can be waited for
		m.init = nil
	}
	if m.files != nil {
		err = errors.Join(err, m.files.Close())
		m.files = nil
	}
	if m.net != nil {
		err = errors.Join(err, m.net.Close())
		m.net = nil
	}
	if err = errors.Join(err, removeCgroup(ctx, m.cgroup)); err != nil {
		return fmt.Errorf("stopping a machine: %w", err)
	}
	return nil
}
