package mtatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"ehlogate/cmd/ehlogate/internal/test/netns"
	"ehlogate/lists/test/testenv"
)

// Build builds the program in module package cmd/ehlogate into dir as "make build" does, and returns its path; race adds the
// race detector. The working directory must be inside the module. The error carries what the compiler said.
func Build(ctx context.Context, dir string, race bool, tags ...string) (string, error) {
	path := filepath.Join(dir, "ehlogate")
	args, env := []string{"build", "-trimpath", "-tags", strings.Join(tags, ","), "-o", path}, "CGO_ENABLED=0"
	if race {
		args, env = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "ehlogate/cmd/ehlogate")...)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building ehlogate: %w\n%s", err, out)
	}
	return path, nil
}

// raceEnv has a program with the race detector end as fast as one without: by default it waits a second.
const raceEnv = "GORACE=atexit_sleep_ms=10"

// Ready is a question that a Daemon asks while it starts, until the answer is yes.
type Ready func(ctx context.Context, log *Log, mark int64) (bool, error)

// ReadyLog is ready when a line that matches re was logged since the start.
func ReadyLog(re *regexp.Regexp) Ready {
	return func(_ context.Context, log *Log, mark int64) (bool, error) {
		found, err := log.Lines(re, mark)
		return len(found) > 0, err
	}
}

// ReadyDial is ready when every address accepts a connection: host:port, or the absolute path of a unix socket.
func ReadyDial(addrs ...string) Ready {
	return func(ctx context.Context, _ *Log, _ int64) (bool, error) {
		for _, addr := range addrs {
			network := "tcp"
			if strings.HasPrefix(addr, "/") {
				network = "unix"
			}
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return false, nil
			}
			conn.Close()
		}
		return true, nil
	}
}

// Daemon is a program that serves. It can be started again after it was ended, by us or by itself; the log goes on. Its
// methods are for one goroutine; the log may be used by many.
type Daemon struct {
	Path  string   // of the program
	Args  []string // its arguments
	Ready Ready    // when Start may return; nil: at once
	Log   *Log     // what it writes to its standard output and error

	Network *netns.Namespace // where it runs, and where Ready is asked; nil: where we are

	child *child
}

// NewDaemon describes a daemon with its log in the file name in dir; nothing runs yet.
func NewDaemon(dir, name, path string, ready Ready, args ...string) *Daemon {
	return &Daemon{Path: path, Args: args, Ready: ready, Log: &Log{path: filepath.Join(dir, name)}}
}

// Start starts the program and returns when it is ready. It fails if the program ends before, or is not ready when the
// context ends; then nothing is left running, and the error carries the end of the log.
func (d *Daemon) Start(ctx context.Context) error {
	if d.child != nil {
		return fmt.Errorf("starting %s: it runs already", d.Path)
	}
	mark := d.Log.Mark()
	out, err := os.OpenFile(d.Log.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", d.Path, err)
	}
	defer out.Close()
	cmd := exec.Command(d.Path, d.Args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), raceEnv)
	cmd.SysProcAttr = childAttr(syscall.SIGKILL)
	err = within(d.Network, func() (err error) {
		d.child, err = startChild(cmd)
		return err
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", d.Path, err)
	}
	err = testenv.Await(ctx, func() (bool, error) {
		if exit, ended := d.child.exited(); ended {
			return false, fmt.Errorf("it ended: %w", exit)
		}
		if d.Ready == nil {
			return true, nil
		}
		isReady := false
		err := within(d.Network, func() (err error) {
			isReady, err = d.Ready(ctx, d.Log, mark)
			return err
		})
		return isReady, err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("starting %s: %w\n%s", d.Path, err, d.Log.Tail(30)), d.Kill(ctx))
	}
	return nil
}

// Running reports whether the program was started, and has not ended since.
func (d *Daemon) Running() bool {
	if d.child == nil {
		return false
	}
	_, ended := d.child.exited()
	return !ended
}

// Pid is the process of a program that runs; 0 if it was ended, or never started.
func (d *Daemon) Pid() int {
	if d.child == nil {
		return 0
	}
	return d.child.pid()
}

// Kill ends the program with SIGKILL and returns when it is gone. One that does not run is no error.
func (d *Daemon) Kill(ctx context.Context) error {
	_, err := d.endWith(ctx, syscall.SIGKILL)
	return err
}

// Term asks the program to end (SIGTERM) and returns its exit code, -1 if a signal ended it. It fails if the program does
// not run, or has not ended by the end of the context: it is then killed.
func (d *Daemon) Term(ctx context.Context) (code int, err error) {
	if d.child == nil {
		return 0, fmt.Errorf("ending %s: it does not run", d.Path)
	}
	return d.endWith(ctx, syscall.SIGTERM)
}

func (d *Daemon) endWith(ctx context.Context, sig syscall.Signal) (int, error) {
	if d.child == nil {
		return 0, nil
	}
	err := d.child.endProcess(ctx, sig)
	code := d.child.cmd.ProcessState.ExitCode()
	d.child = nil
	if err != nil {
		return code, fmt.Errorf("ending %s: %w\n%s", d.Path, err, d.Log.Tail(30))
	}
	return code, nil
}

// Hang stops the program (SIGSTOP), so that it neither answers nor closes anything, and returns when it stands still. It
// fails if the program has ended.
func (d *Daemon) Hang(ctx context.Context) error {
	if err := d.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := testenv.Await(ctx, func() (bool, error) { return state(d.child.pid()) == 'T', nil })
	if err != nil {
		return fmt.Errorf("waiting for %s to stand still: %w", d.Path, err)
	}
	return nil
}

// Resume lets a program run on that was stopped by Hang. It fails if the program has ended.
func (d *Daemon) Resume() error { return d.signal(syscall.SIGCONT) }

// HUP asks the program to read its configuration again. It fails if the program has ended.
func (d *Daemon) HUP() error { return d.signal(syscall.SIGHUP) }

func (d *Daemon) signal(sig syscall.Signal) error {
	if d.child == nil {
		return fmt.Errorf("sending %v to %s: it does not run", sig, d.Path)
	}
	return d.child.signal(sig)
}

// Restart ends the program as Term does and starts it again.
func (d *Daemon) Restart(ctx context.Context) error {
	if _, err := d.Term(ctx); err != nil {
		return err
	}
	return d.Start(ctx)
}
