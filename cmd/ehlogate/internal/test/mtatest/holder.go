package mtatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"ehlogate/lists/test/testenv"
)

// Holder keeps a program running on sockets that it holds, as systemd does with a service and its sockets: it passes them
// (sd_listen_fds(3)), listens to what the program says of itself (sd_notify(3)), starts it anew when it has ended, and ends
// it when it no longer says that it is alive. Set the fields before Start.
type Holder struct {
	Path string
	Args []string
	Env  []string // besides ours
	Log  *Log     // what the program writes to its standard output and error
	// Output, if set, takes the place of the log.
	Output string
	// User, if not zero, is the number of the user and group that the program runs as.
	User uint32
	// Watchdog is how long the program may say nothing; zero is for ever.
	Watchdog time.Duration
	// Exec, if set, is a command line that runs the one that follows it.
	Exec []string

	names   []string
	sockets []*os.File
	notify  *net.UnixConn
	cancel  context.CancelFunc
	over    sync.WaitGroup

	mu       sync.Mutex
	child    *child
	heard    time.Time
	states   []string // all that was said, by all of its processes
	starts   int
	stopping bool  // it has said that it ends
	err      error // why it is not started again

	gone    time.Time // since when no process answers; zero: one does
	outages []outage
}

// outage is a time in which no process answered.
type outage struct{ from, to time.Time }

// startAgain is how long after its end the program is started again.
const startAgain = 100 * time.Millisecond

// NewHolder describes a program with its log in the file "log" in dir; nothing runs yet.
func NewHolder(dir, path string, args ...string) *Holder {
	return &Holder{Path: path, Args: args, Log: &Log{path: filepath.Join(dir, "log")}}
}

// ListenFor listens on an address, host:port or the absolute path of a unix socket that every user may use, and holds the socket
// under a name.
func (h *Holder) ListenFor(name, addr string) error {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		return fmt.Errorf("holding a socket: %w", err)
	}
	defer ln.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		if err := os.Chmod(addr, 0o666); err != nil {
			return fmt.Errorf("opening the socket to all: %w", err)
		}
	}
	f, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return fmt.Errorf("holding %s: %w", addr, err)
	}
	h.PassFile(name, f)
	return nil
}

// PassFile passes any file under a name.
func (h *Holder) PassFile(name string, f *os.File) {
	h.names, h.sockets = append(h.names, name), append(h.sockets, f)
}

// Start starts the program and returns when it has said that it is ready.
func (h *Holder) Start(ctx context.Context) error {
	path := filepath.Join(filepath.Dir(h.Log.path), "notify")
	var err error
	if h.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		return fmt.Errorf("listening for notifications: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return fmt.Errorf("opening the socket to the program: %w", err)
	}
	h.gone = time.Now()
	running, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	h.over.Go(h.listen)
	h.over.Go(func() { h.keepRunning(running) })
	return h.AwaitReady(ctx, 1)
}

// AwaitReady waits until the program has said for the n-th time, counted over all of its processes, that it is ready.
func (h *Holder) AwaitReady(ctx context.Context, n int) error { return h.AwaitState(ctx, "READY=1", n) }

// AwaitState waits until the program has said something for the n-th time; what it says may go on longer.
func (h *Holder) AwaitState(ctx context.Context, state string, n int) error {
	err := testenv.Await(ctx, func() (bool, error) {
		h.mu.Lock()
		err := h.err
		h.mu.Unlock()
		return h.CountStates(state) >= n, err
	})
	if err != nil {
		return fmt.Errorf("waiting for %q from %s: %w\n%s", state, h.Path, err, h.Log.Tail(30))
	}
	return nil
}

// CountStates counts how often the program has said something, or something longer.
func (h *Holder) CountStates(state string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.states {
		if strings.HasPrefix(s, state) {
			n++
		}
	}
	return n
}

// Pid is the process that runs now, or 0.
func (h *Holder) Pid() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.child == nil {
		return 0
	}
	return h.child.pid()
}

// Starts counts the processes so far.
func (h *Holder) Starts() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.starts
}

// Outage reports whether there was a moment, between two points in time, in which no process answered: from the signal that
// ended or stopped it, or from its end, until another was ready.
func (h *Holder) Outage(from, to time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.outages {
		if o.from.Before(to) && o.to.After(from) {
			return true
		}
	}
	return !h.gone.IsZero() && h.gone.Before(to)
}

// markLost records that no process answers from now on. The lock must be held.
func (h *Holder) markLost() {
	if h.gone.IsZero() {
		h.gone = time.Now()
	}
}

// Signal sends a signal to the process that runs; it fails if there is none.
func (h *Holder) Signal(sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.child == nil {
		return errors.New("it does not run")
	}
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM || sig == syscall.SIGSTOP {
		h.markLost()
	}
	return h.child.signal(sig)
}

// Stopped reports whether the process that runs stands still, some time after SIGSTOP.
func (h *Holder) Stopped() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.child != nil && state(h.child.pid()) == 'T'
}

// Stop ends the program, which must end well, and lets go of the sockets.
func (h *Holder) Stop(ctx context.Context) error {
	if h.cancel == nil {
		return nil
	}
	h.cancel() // first: nothing is started from here on
	h.mu.Lock()
	c, err := h.child, h.err
	h.mu.Unlock()
	if c != nil {
		err = c.endProcess(ctx, syscall.SIGTERM)
		if code := c.cmd.ProcessState.ExitCode(); err == nil && code != 0 {
			err = fmt.Errorf("it ended with exit code %d", code)
		}
	}
	h.notify.Close()
	h.over.Wait()
	for _, f := range h.sockets {
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("ending %s: %w\n%s", h.Path, err, h.Log.Tail(30))
	}
	return nil
}
