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
	// quiet is how long no list was written to when a timer takes it (--if-changed, --apply): a file that is written to in
	// place may not be whole yet.
	quiet = time.Second
	// quietLimit is how long that is waited for.
	quietLimit = 10 * time.Second
)

// load returns the policy that is exported; nil if a list is unavailable, which was reported.
func (e *exporting) load(ctx context.Context, o *options, stderr io.Writer) (*export.Policy, error) {
	for start := time.Now(); ; {
		cfg, err := o.load()
		if err != nil {
			return nil, err
		}
		p, errs := export.Load(cfg, time.Now())
		for _, err := range errs {
			report(stderr, err)
		}
		if len(errs) > 0 {
			return nil, nil
		}
		p.WithoutNames, p.WithoutDNS = e.withoutNames, e.withoutDNS
		age := time.Since(p.Written())
		if !e.ifChanged && !e.apply || age >= quiet || age < -quiet { // a time in the future says nothing
			return p, nil
		}
		if time.Since(start) > quietLimit {
			return nil, fmt.Errorf("a list has been written to for %v: nothing is exported before it is at rest", quietLimit)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(quiet - age):
		}
	}
}

// pending is the time of a table whose --then has not succeeded yet: the process may end before it does.
var pending = time.Unix(0, 0)

// replace writes the table, and runs --then.
func (e *exporting) replace(ctx context.Context, table []byte, stdout, stderr io.Writer) error {
	info, err := os.Stat(e.output)
	switch {
	case err == nil && !info.Mode().IsRegular() && (e.ifChanged || e.then != ""):
		return fmt.Errorf("%s is no regular file, which --if-changed and --then need", e.output)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return err
	}
	if e.ifChanged && err == nil {
		before, err := os.ReadFile(e.output)
		if err != nil {
			return err
		}
		if bytes.Equal(before, table) && (e.then == "" || !info.ModTime().Equal(pending)) {
			return nil
		}
	}
	written := pending
	if e.then == "" {
		written = time.Time{}
	}
	if err := replaceFile(e.output, table, written); err != nil {
		return err
	}
	if e.ifChanged {
		fmt.Fprintf(stdout, "%s: brought in step with the lists\n", e.output)
	}
	if e.then == "" {
		return nil
	}
	now := time.Now() // what COMMAND makes of the table is not older than it
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", e.then)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s is written, but %q failed: %w", e.output, e.then, err)
	}
	return os.Chtimes(e.output, now, now)
}
