package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"ehlogate/cmd/ehlogate/internal/export"
)

const (
	// settleTime is how long no list may have been written to before a timer exports it (--if-changed, --apply): a file
	// that an editor writes in place may be incomplete.
	settleTime = time.Second
	// settleTimeout is how long export waits for that.
	settleTimeout = 10 * time.Second
)

// load returns the policy to export. It returns nil, after reporting why, if a list is unavailable.
func (e *exportFlags) load(ctx context.Context, o *options, stderr io.Writer) (*export.Policy, error) {
	for start := time.Now(); ; {
		cfg, err := o.loadConfig()
		if err != nil {
			return nil, err
		}
		p, errs := export.Load(cfg, time.Now())
		for _, err := range errs {
			reportError(stderr, err)
		}
		if len(errs) > 0 {
			return nil, nil
		}
		p.WithoutNames, p.WithoutDNS = e.withoutNames, e.withoutDNS
		age := time.Since(p.LastWritten())
		if !e.ifChanged && !e.apply || age >= settleTime || age < -settleTime { // the clock was set back
			return p, nil
		}
		if time.Since(start) > settleTimeout {
			return nil, fmt.Errorf("a list has been written to for %v: nothing is exported until that stops", settleTimeout)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(settleTime - age):
		}
	}
}

// pendingTime is the modification time of a table until its --then has succeeded. A run that is killed before COMMAND ends
// leaves it, so the next run repeats COMMAND.
var pendingTime = time.Unix(0, 0)

// writeTable replaces the file and runs --then.
func (e *exportFlags) writeTable(ctx context.Context, table []byte, stdout, stderr io.Writer) error {
	info, err := os.Stat(e.output)
	switch {
	case err == nil && !info.Mode().IsRegular() && (e.ifChanged || e.then != ""):
		return fmt.Errorf("%s is not a regular file: --if-changed and --then need one", e.output)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	if e.ifChanged && err == nil {
		before, err := os.ReadFile(e.output)
		if err != nil {
			return err
		}
		if bytes.Equal(before, table) && (e.then == "" || !info.ModTime().Equal(pendingTime)) {
			return nil
		}
	}
	written := pendingTime
	if e.then == "" {
		written = time.Time{}
	}
	if err := replaceFile(e.output, table, written); err != nil {
		return err
	}
	if e.ifChanged {
		fmt.Fprintf(stdout, "%s: updated from the lists\n", e.output)
	}
	if e.then == "" {
		return nil
	}
	now := time.Now() // before COMMAND runs: what COMMAND makes of the table must not look older than the table
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", e.then)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s is written, but %q failed: %w", e.output, e.then, err)
	}
	return os.Chtimes(e.output, now, now)
}
