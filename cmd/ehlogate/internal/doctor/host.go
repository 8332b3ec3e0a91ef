package doctor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ehlogate/cmd/ehlogate/internal/running"
	"ehlogate/lists/dnsclient"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

// Host is the machine that the configuration is for, as far as it can be examined.
type Host struct {
	saved string // the directory of copies, which are younger than the originals; empty: it is this machine
	// Dial connects to an address that the configuration names; nil means that no connections are made.
	Dial func(network, addr string) (net.Conn, error)
	// Daemon returns the status of the running daemon; nil means that it is not queried.
	Daemon func(context.Context, running.Daemon) (*running.Status, error)
	// Version is that of this program.
	Version string
	// Inherited returns the FileDescriptorName of a listening socket that systemd holds, so that it outlives ehlogate. ok is
	// false if systemd does not hold it; Inherited is nil if that is unknown.
	Inherited func(network, addr string) (name string, ok bool)
	// Resolvers returns those of the system (resolv.conf).
	Resolvers func() ([]netip.AddrPort, error)
	// Resolver returns a client of resolvers; nil means that no resolver is queried.
	Resolver func(dnsclient.Options) dnsclient.Resolver
	// Unit returns the properties of the service, as "systemctl show" writes them; empty if systemd does not have it.
	Unit func() (string, error)
	// Trial means that the mail server's own program may run on a copy of its configuration.
	Trial bool
	// ExportUnit returns the unit that exports a table, with its drop-ins, as "systemctl cat" writes them.
	ExportUnit func() (string, error)
	// ExportTimer returns the state of the timer that starts it, as "systemctl show" writes it: "" if that is unknown; nil
	// for another machine.
	ExportTimer func() string
	// Rules returns the rules of nftables, as "nft -j list ruleset" writes them.
	Rules func() ([]byte, error)
}

// dialLimit is how long an answer may take. A local daemon that needs longer is in trouble.
const dialLimit = time.Second

// ThisHost returns the machine that doctor runs on. Without connect, no connections are made.
func ThisHost(connect bool) *Host {
	h := &Host{
		Inherited: func(network, addr string) (name string, ok bool) {
			unit, ok := unitAt(systemctl("list-sockets", "--no-legend", "--plain", "--full"), network, addr)
			if ok {
				name = strings.TrimSpace(systemctl("show", "--property=FileDescriptorName", "--value", unit))
			}
			return name, ok
		},
		Resolvers:  dnsclient.SystemServers,
		Unit:       liveUnit,
		ExportUnit: func() (string, error) { return systemctl("cat", "ehlogate-export.service"), nil },
		ExportTimer: func() string {
			return strings.TrimSpace(systemctl("show", "--property=ActiveState", "--value", "ehlogate-export.timer"))
		},
		Rules: liveRules,
		Trial: true,
	}
	if connect {
		h.Resolver = func(c dnsclient.Options) dnsclient.Resolver { return dnsclient.New(c) }
		h.Daemon = func(ctx context.Context, d running.Daemon) (*running.Status, error) {
			status, _, err := d.Get(ctx, "/api/v1/status", new(struct{}))
			return status, err
		}
		h.Dial = func(network, addr string) (net.Conn, error) { return net.DialTimeout(network, addr, dialLimit) }
	}
	return h
}

var errNotCopied = errors.New("not among the saved copies")

// SavedHost returns another machine, of which dir has copies of some files, under the last part of their names.
func SavedHost(dir string) *Host {
	h := &Host{saved: dir, Trial: true}
	if abs, err := filepath.Abs(dir); err == nil {
		h.saved = abs // lists take no other names
	}
	text := func(name string) (string, error) {
		data, err := h.readFile(name)
		return string(data), err
	}
	h.Resolvers = func() ([]netip.AddrPort, error) {
		data, err := h.readFile(resolvConf)
		return dnsclient.ParseResolvConf(data), err
	}
	h.Unit = func() (string, error) { return text(savedUnit) }
	h.ExportUnit = func() (string, error) { return text(savedExportUnit) }
	h.Rules = func() ([]byte, error) { return h.readFile(savedRules) }
	return h
}

// readFile reads a file that the configuration names. It fails with fs.ErrNotExist only if the file is certain not to
// exist.
func (h *Host) readFile(name string) ([]byte, error) {
	if h.saved == "" {
		return os.ReadFile(name)
	}
	if name == os.DevNull {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(h.saved, filepath.Base(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNotCopied
	}
	return data, err
}

const (
	resolvConf      = "/etc/resolv.conf"
	savedUnit       = "systemctl-show" // the copy of what "systemctl show" writes
	savedExportUnit = "systemctl-cat"  // the copy of what "systemctl cat" writes
)

// localSpec returns the spec of a list with the patterns of its files on this machine.
func (h *Host) localSpec(spec listfile.Spec) listfile.Spec {
	if h.saved != "" {
		spec.Patterns = slices.Clone(spec.Patterns)
		for i, p := range spec.Patterns {
			spec.Patterns[i] = filepath.Join(filewatch.EscapeGlob(h.saved), filepath.Base(p))
		}
	}
	return spec
}

func liveUnit() (string, error) { return systemctl("show", "ehlogate"), nil }

// unitAt returns the unit of the socket of ehlogate at an address, of those that "systemctl list-sockets" writes.
func unitAt(sockets, network, addr string) (unit string, ok bool) {
	for l := range strings.Lines(sockets) {
		columns := strings.Fields(l) // of which the last is the service
		if len(columns) < 2 || len(columns) > 2 && columns[2] != "ehlogate.service" {
			continue
		}
		listener := strings.Replace(columns[0], "[::]:", ":", 1) // which IPv4 reaches too
		if reaches(endpoint{network: network, addr: addr}, listener) {
			return columns[1], true
		}
	}
	return "", false
}

// systemctl returns what systemctl says; empty if no systemd runs here, or it has no such unit.
func systemctl(args ...string) string {
	out, err := runProgram(context.Background(), []string{"systemctl"}, args...)
	if err != nil {
		return ""
	}
	return out
}

// programLimit is how long one run of a program of the mail server may take.
const programLimit = 10 * time.Second

// runProgram returns what a program of the mail server wrote to its standard output, also if it failed. Its names are those that
// distributions give it. It is also found where administrators' programs are, which may not be in PATH.
func runProgram(ctx context.Context, names []string, args ...string) (string, error) {
	return programRun{}.output(ctx, names, args...)
}

// programRun is how a program runs: its standard input, its directory and environment, if not those of doctor, and how long
// it may take, if not programLimit.
type programRun struct {
	input, dir string
	env        []string
	limit      time.Duration
}

func (r programRun) output(ctx context.Context, names []string, args ...string) (string, error) {
	limit := cmp.Or(r.limit, programLimit)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	program, err := findProgram(names)
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stderr, cmd.Stdin, cmd.Dir, cmd.Env = &stderr, strings.NewReader(r.input), r.dir, r.env
	cmd.WaitDelay = time.Second // for a child of it that keeps the pipe open
	out, err := cmd.Output()
	command := strings.Join(append([]string{names[0]}, args...), " ")
	switch {
	case err == nil:
		return string(out), nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("timeout: %s did not end in time (limit %v): run it by hand to see what it waits for", command, limit)
	}
	return string(out), &programError{command, err, stderr.String()}
}

// programError is the failure of a program of the mail server.
type programError struct {
	command string
	err     error
	stderr  string
}

func (e *programError) Error() string {
	return fmt.Sprintf("%s: %v%s", e.command, e.err, lastLines(e.stderr))
}

func (e *programError) Unwrap() error { return e.err }

func findProgram(names []string) (path string, err error) {
	for _, name := range names {
		for _, dir := range []string{"", "/usr/sbin", "/usr/local/sbin"} {
			if path, err = exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	here, where := "on this machine", "run doctor where it is installed"
	if isOnlyProgram() {
		here, where = "in this container", "run doctor in the container of the mail server (examples/container/README.md says how)"
	}
	return "", fmt.Errorf("%s is not installed %s: doctor needs the mail server's own program to read its settings, "+
		"also those of copies; %s, with --exim or --sendmail if it is not Postfix", strings.Join(names, " or "), here, where)
}

// isOnlyProgram reports whether ehlogate runs in a container of its own: there it is process 1.
func isOnlyProgram() bool {
	name, err := os.ReadFile("/proc/1/comm")
	return err == nil && string(name) == "ehlogate\n"
}

// lastLines returns what a program said last of what went wrong.
func lastLines(stderr string) string {
	const most = 3
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if text := strings.Join(lines[max(0, len(lines)-most):], "\n"); text != "" {
		return ":\n" + text
	}
	return ""
}
