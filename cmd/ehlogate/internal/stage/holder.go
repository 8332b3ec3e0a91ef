package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
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

	mu     sync.Mutex
	child  *child
	heard  time.Time
	states []string // all that was said, by all of its processes
	starts int
	err    error // why it is not started again

	gone    time.Time // since when nobody answers; zero: somebody does
	outages []outage
}

// outage is a time in which no process answered.
type outage struct{ from, to time.Time }

// startAgain is how long after its end the program is started again.
const startAgain = 100 * time.Millisecond

// NewHolder describes a program whose log is the file "log" in dir; nothing runs yet.
func NewHolder(dir, path string, args ...string) *Holder {
	return &Holder{Path: path, Args: args, Log: &Log{path: filepath.Join(dir, "log")}}
}

// Hold listens on an address, host:port or the absolute path of a unix socket that everybody may use, and holds the socket
// under a name.
func (h *Holder) Hold(name, addr string) error {
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
	h.Pass(name, f)
	return nil
}

// Pass passes any file under a name.
func (h *Holder) Pass(name string, f *os.File) {
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
	h.over.Go(func() { h.keep(running) })
	return h.Ready(ctx, 1)
}

// Ready waits until the program has said for the n-th time, counted over all of its processes, that it is ready.
func (h *Holder) Ready(ctx context.Context, n int) error { return h.Said(ctx, "READY=1", n) }

// Said waits until the program has said something for the n-th time; what it says may go on longer.
func (h *Holder) Said(ctx context.Context, state string, n int) error {
	err := await(ctx, func() (bool, error) {
		h.mu.Lock()
		err := h.err
		h.mu.Unlock()
		return h.Heard(state) >= n, err
	})
	if err != nil {
		return fmt.Errorf("waiting for %q from %s: %w\n%s", state, h.Path, err, h.Log.Tail(30))
	}
	return nil
}

// Heard counts how often the program has said something, or something longer.
func (h *Holder) Heard(state string) (n int) {
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

// Outage tells whether there was a moment, between two points in time, in which no process answered: from the signal that
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

// lost notes that nobody answers from now on. The lock must be held.
func (h *Holder) lost() {
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
		h.lost()
	}
	return h.child.signal(sig)
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
		err = c.end(ctx, syscall.SIGTERM)
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

// keep runs the program again and again until ctx ends.
func (h *Holder) keep(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := h.run(ctx)
		if c == nil && err == nil {
			return
		}
		if err != nil {
			h.mu.Lock()
			h.err = err
			h.mu.Unlock()
			return
		}
		h.watch(ctx, c)
		select {
		case <-ctx.Done():
		case <-time.After(startAgain):
		}
	}
}

// run starts one process; none if ctx has ended.
func (h *Holder) run(ctx context.Context) (*child, error) {
	output := h.Log.path
	if h.Output != "" {
		output = h.Output
	}
	out, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", h.Path, err)
	}
	defer out.Close()
	// Only a process knows its own number before it becomes the program.
	line := append([]string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, h.Exec...)
	line = append(append(line, h.Path), h.Args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, h.sockets
	cmd.Env = append(os.Environ(), h.Env...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(h.sockets)), "LISTEN_FDNAMES="+strings.Join(h.names, ":"),
		"NOTIFY_SOCKET="+h.notify.LocalAddr().String())
	if h.Watchdog > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", h.Watchdog.Microseconds()))
	}
	cmd.SysProcAttr = childAttr(syscall.SIGKILL)
	if h.User != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: h.User, Gid: h.User}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return nil, nil
	}
	if h.child, err = startChild(cmd); err != nil {
		return nil, fmt.Errorf("starting %s: %w", h.Path, err)
	}
	h.starts++
	h.heard = time.Now()
	return h.child, nil
}

// watch returns when the process has ended. One that says nothing for too long is ended.
func (h *Holder) watch(ctx context.Context, c *child) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			h.mu.Lock()
			defer h.mu.Unlock()
			h.lost()
			if ctx.Err() == nil {
				h.child = nil
			}
			return
		case <-tick.C:
			h.mu.Lock()
			silent := h.Watchdog > 0 && time.Since(h.heard) > h.Watchdog
			h.mu.Unlock()
			if silent {
				_ = c.signal(syscall.SIGKILL) // it fails if the process has just ended
			}
		}
	}
}

// listen notes what the program says, until the socket is closed.
func (h *Holder) listen() {
	for buf := make([]byte, 4096); ; {
		n, err := h.notify.Read(buf)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.heard = time.Now()
		states := strings.Split(string(buf[:n]), "\n")
		h.states = append(h.states, states...)
		if slices.Contains(states, "READY=1") && !h.gone.IsZero() {
			h.outages, h.gone = append(h.outages, outage{h.gone, h.heard}), time.Time{}
		}
		h.mu.Unlock()
	}
}
