package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"ehlogate/cmd/ehlogate/internal/export"
	"ehlogate/cmd/ehlogate/internal/replace"
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

// pendingTime is the modification time of a table until its --then has succeeded. A run that is killed before COMMAND ends
// leaves it, so the next run repeats COMMAND.
var pendingTime = time.Unix(0, 0)

func isPending(table os.FileInfo) bool { return table != nil && table.ModTime().Equal(pendingTime) }

// findOutput finds the file of -o as it is before the lists are read. It returns the zero File without -o.
func (e *exportFlags) findOutput() (before replace.File, err error) {
	if e.output == "" {
		return before, nil
	}
	if before, err = replace.Find(e.output); err == nil && !before.IsRegular() && (e.ifChanged || e.then != "") {
		return before, fmt.Errorf("%s is not a regular file: --if-changed and --then need one", e.output)
	}
	return before, err
}

// policyError is why a table cannot express the policy.
type policyError struct{ error }

func (e policyError) Unwrap() error { return e.error }

// textOf returns the text of a table. Its error is a policyError, or one of writing.
func textOf(write func(io.Writer) error) replace.Text {
	return func(to io.Writer) error {
		out := bufio.NewWriter(to)
		err := write(out)
		if failed := out.Flush(); failed != nil {
			return failed
		}
		if err != nil {
			return policyError{err}
		}
		return nil
	}
}

// writeTable replaces the file, and runs --then.
func (e *exportFlags) writeTable(ctx context.Context, before replace.File, table replace.Text, stdout, stderr io.Writer) error {
	if !before.IsRegular() {
		return before.WriteTo(table)
	}
	file, done, err := e.replaceTable(before, table, stdout)
	if err != nil {
		return err
	}
	defer file.Close()
	if done || e.then == "" {
		return nil
	}
	now := time.Now() // before COMMAND runs: what COMMAND makes of the table must not look older than the table
	err = execCommand(ctx, e.then, commandTimeout, stdout, stderr)
	wasReplaced, failed := markReplaced(file, before.Path)
	switch {
	case err != nil:
		return fmt.Errorf("%s is written, but %q failed, and the next export runs it again: %w", e.output, e.then, err)
	case failed != nil:
		return failed
	case wasReplaced:
		return errOutdated
	}
	return replace.SetModTime(file, now)
}

// markReplaced has COMMAND run again if another export has replaced the table meanwhile: its COMMAND may have ended first, so
// that this one has undone what it made of the new table.
func markReplaced(file *os.File, path string) (wasReplaced bool, err error) {
	if replace.IsAt(file, path) {
		return false, nil
	}
	now, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // COMMAND moved it
		return false, nil
	}
	if err != nil {
		return true, err
	}
	defer now.Close()
	return true, replace.SetModTime(now, pendingTime)
}

// replaceTable returns the file with the table. done reports that it had this table before, and COMMAND has succeeded.
func (e *exportFlags) replaceTable(before replace.File, table replace.Text, stdout io.Writer) (file *os.File, done bool, err error) {
	if e.ifChanged && before.Info != nil {
		same, pending, err := openTable(before.Path, table)
		switch {
		case err != nil:
			return nil, false, err
		case same != nil && pending && e.then != "":
			fmt.Fprintf(stdout, "%s: the command after its last export did not succeed, and runs again\n", e.output)
			return same, false, nil
		case same != nil:
			return same, true, nil
		}
	}
	var inexpressible policyError
	var modTime time.Time
	if e.then != "" || isPending(before.Info) { // the mail server has not read what this table replaces
		modTime = pendingTime
	}
	switch file, err = before.Replace(table, modTime); {
	case errors.Is(err, replace.ErrChanged):
		return nil, false, errOutdated
	case errors.As(err, &inexpressible):
		return nil, false, inexpressible.error
	case err != nil && before.Info != nil:
		return nil, false, fmt.Errorf("%s stays as it is: %w", e.output, err)
	case err != nil:
		return nil, false, fmt.Errorf("cannot write %s: %w", e.output, err)
	case e.ifChanged:
		fmt.Fprintf(stdout, "%s: updated from the lists\n", e.output)
	}
	return file, false, nil
}

// openTable opens a table that was exported before. It returns nil if it is another one. pending reports that its --then
// has not succeeded.
func openTable(path string, table replace.Text) (same *os.File, pending bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	info, err := f.Stat()
	if err == nil {
		var isSame bool
		if isSame, err = table.EqualTo(bufio.NewReader(f)); isSame {
			return f, isPending(info), nil
		}
	}
	f.Close()
	return nil, false, err
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
