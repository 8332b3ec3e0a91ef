package mtatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// keepRunning runs the program again and again until ctx ends.
func (h *Holder) keepRunning(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := h.startProcess(ctx)
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

// startProcess starts one process; none if ctx has ended.
func (h *Holder) startProcess(ctx context.Context) (*child, error) {
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
	cmd.Env = append(append(os.Environ(), raceEnv), h.Env...)
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
	h.heard, h.stopping = time.Now(), false
	return h.child, nil
}

// watch returns when the process has ended. One that says nothing for too long is ended.
func (h *Holder) watch(ctx context.Context, c *child) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			h.mu.Lock()
			defer h.mu.Unlock()
			h.markLost()
			if ctx.Err() == nil {
				h.child = nil
			}
			return
		case <-tick.C:
			h.mu.Lock()
			silent := h.Watchdog > 0 && !h.stopping && time.Since(h.heard) > h.Watchdog
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
		if slices.Contains(states, "STOPPING=1") {
			h.stopping = true
		}
		if slices.Contains(states, "READY=1") && !h.gone.IsZero() {
			h.outages, h.gone = append(h.outages, outage{h.gone, h.heard}), time.Time{}
		}
		h.mu.Unlock()
	}
}
