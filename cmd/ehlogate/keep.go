package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/export"
)

const (
	// settleTime is how long no list may have been written to before a unit exports it (--if-changed, --apply): a file
	// that an editor writes in place may be incomplete.
	settleTime = time.Second
	// settleTimeout is how long export waits for that.
	settleTimeout = 10 * time.Second
	// commandTimeout is how long --then may run: a command that hangs must not keep the table from following the lists.
	commandTimeout = 2 * time.Minute
	// rerunPause is longer than the resolution of file times, by which export notices an edit.
	rerunPause = 100 * time.Millisecond
	// maxRuns is how often export runs again because a list was edited meanwhile.
	maxRuns = 5
)

// errOutdated means that the lists or the table were changed while the table was made: it is to be made again.
var errOutdated = errors.New("the lists or the table were changed during each of several exports: try again")

// repeat exports until the table is that of the lists as they are at the end. systemd starts no second run of a service
// for an edit that comes while the service runs.
func repeat(run func() error) (err error) {
	for range maxRuns {
		if err = run(); !errors.Is(err, errOutdated) {
			break
		}
		time.Sleep(rerunPause)
	}
	return err
}

// load returns the policy to export. It returns nil, after reporting why, if a list is unavailable.
func (e *exportFlags) load(ctx context.Context, o *options, stderr io.Writer) (*export.Policy, error) {
	for start, first := time.Now(), true; ; first = false {
		p, errs := loadPolicy(o)
		wait := timeToSettle(p)
		if len(errs) > 0 && first {
			wait = settleTime // an editor may have moved a file away for a moment
		}
		switch {
		case p == nil && (!first || !e.ifChanged && !e.apply): // the config is wrong
			return nil, errs[0]
		case wait <= 0 || !e.ifChanged && !e.apply:
			for _, err := range errs {
				reportError(stderr, err)
			}
			if len(errs) > 0 {
				return nil, nil
			}
			p.WithoutNames, p.WithoutDNS = e.withoutNames, e.withoutDNS
			return p, nil
		case time.Since(start) > settleTimeout:
			return nil, fmt.Errorf("a list has been written to for %v: nothing is exported until that stops", settleTimeout)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// loadPolicy returns the policy as it is on disk, and what is wrong with the config or with lists.
func loadPolicy(o *options) (*export.Policy, []error) {
	now := time.Now()
	cfg, err := o.loadConfig()
	if err != nil {
		return nil, []error{err}
	}
	return export.Load(cfg, now)
}

// timeToSettle returns how long to wait until no list of the policy has been written to for settleTime. It ignores files with a
// time in the future: the clock was set back, or the machine that they come from is ahead.
func timeToSettle(p *export.Policy) time.Duration {
	if p == nil {
		return 0
	}
	now := time.Now()
	return settleTime - now.Sub(p.LastWritten(now.Add(settleTime)))
}

// execCommand runs a command by sh, and ends all its processes after the timeout, or when this process is told to end.
func execCommand(ctx context.Context, command string, timeout time.Duration, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not end within %v, and was killed", timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	return nil
}
