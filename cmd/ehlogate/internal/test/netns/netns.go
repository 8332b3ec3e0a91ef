// Package netns makes network namespaces (network_namespaces(7)) that have no
// name and are gone when no process uses them, and runs functions in them. It takes
// CAP_SYS_ADMIN.
package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespace is a network of its own. Its methods may be used by many
// goroutines.
type Namespace struct{ file *os.File }

// New makes a network that has nothing but a loopback interface, which is up.
// It fails if the caller may not make one.
func New() (*Namespace, error) {
	n := &Namespace{}
	err := away(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace (CAP_SYS_ADMIN is needed): %w", err)
		}
		return nil
	}, func() (err error) {
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := n.Run(context.Background(), "ip", "link", "set", "lo", "up"); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Of opens the network of a process.
func Of(pid int) (*Namespace, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, fmt.Errorf("opening a network namespace: %w", err)
	}
	return &Namespace{file}, nil
}

// Path is what "ip link set DEV netns PATH" takes for this network, while it is
// open.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// Close lets go of the network. It is gone when nothing else has it: no process
// that runs in it, no socket.
func (n *Namespace) Close() error { return n.file.Close() }

// Do runs fn in the network: sockets that it opens, and processes that it
// starts, belong there. What fn has other goroutines do is done in theirs: so a
// dialer has to be given a literal address. An error is fn's own, or says that
// the network could not be entered.
func (n *Namespace) Do(fn func() error) error {
	return away(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return nil
	}, fn)
}

// away runs fn on a thread that leave brought into another network, and brings
// it back. A thread is not simply given up: processes that were once started
// from it may be set to die with it (PR_SET_PDEATHSIG).
func away(leave, fn func() error) error {
	runtime.LockOSThread() // a network namespace is that of a thread
	defer runtime.UnlockOSThread()
	ours, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("opening our network: %w", err)
	}
	defer ours.Close()
	if err := leave(); err != nil {
		return err
	}
	defer func() {
		if err := unix.Setns(int(ours.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("netns: leaving a network namespace: %v", err)) // nothing may run on this thread
		}
	}()
	return fn()
}

// Run runs a program in the network and returns what it wrote; an error says
// what that was. The program is killed when ctx ends.
func (n *Namespace) Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return n.output(cmd)
}

// Pipe is Run with something to read.
func (n *Namespace) Pipe(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdin = strings.NewReader(stdin)
	return n.output(cmd)
}

func (n *Namespace) output(cmd *exec.Cmd) (string, error) {
	var out []byte
	err := n.Do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), nil
}

// Link joins two networks by a cable: an interface in each (veth(4)), both up.
func Link(ctx context.Context, a *Namespace, nameA string, b *Namespace, nameB string) error {
	if _, err := a.Run(ctx, "ip", "link", "add", "name", nameA, "type", "veth", "peer", "name", nameB, "netns", b.Path()); err != nil {
		return err
	}
	if _, err := a.Run(ctx, "ip", "link", "set", nameA, "up"); err != nil {
		return err
	}
	_, err := b.Run(ctx, "ip", "link", "set", nameB, "up")
	return err
}
