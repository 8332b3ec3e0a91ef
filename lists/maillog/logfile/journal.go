package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strings"
	"time"
)

// journalFields are what package maillog reads of an entry.
const journalFields = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_UID,_HOSTNAME,_SYSTEMD_UNIT"

// journalMail matches what mail servers log. Their names for syslog are free to choose, and journalctl compares whole names
// only, but the facility is "mail" unless the operator changed it.
const journalMail = "SYSLOG_FACILITY=2"

// JournalRepair is what to do if the journal cannot be read.
const JournalRepair = "add the user that runs this to the group systemd-journal, or adm"

// OpenJournal runs journalctl(1) for what was logged to the facility mail since then; the zero time means from the
// beginning. Close ends it, and returns its error.
func OpenJournal(ctx context.Context, since time.Time) (*Log, error) {
	var args []string
	if !since.IsZero() {
		args = append(args, fmt.Sprintf("--since=@%d", since.Unix()))
	}
	child, err := startJournal(ctx, append(args, journalMail)...)
	if err != nil {
		return nil, err
	}
	l, err := newLog(child)
	if err != nil {
		return nil, errors.Join(err, child.Close())
	}
	return l, nil
}

// journalctl is a running journalctl.
type journalctl struct {
	io.Reader
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// endTime is how long the end of a journalctl may take.
const endTime = 5 * time.Second

// startJournal runs journalctl on the journal of the system. Journals of users have no lines of mail servers, and with them
// journalctl would not say that it may not read the others.
func startJournal(ctx context.Context, args ...string) (*journalctl, error) {
	args = append([]string{"--system", "--output=json", "--output-fields=" + journalFields, "--quiet", "--no-pager"}, args...)
	child := &journalctl{cmd: exec.CommandContext(ctx, "journalctl", args...)}
	child.cmd.Stderr, child.cmd.WaitDelay = &child.stderr, endTime
	out, err := child.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	child.Reader = out
	switch err := child.cmd.Start(); {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%w: the journal needs systemd", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: the service may not run it", err)
	case err != nil:
		return nil, err
	}
	return child, nil
}

// Close implements [io.Closer]. It waits for the end of journalctl.
func (j *journalctl) Close() error {
	_, _ = io.Copy(io.Discard, j.Reader)
	err := j.cmd.Wait()
	if err == nil {
		return nil
	}
	why := string(bytes.TrimSpace(j.stderr.Bytes()))
	switch {
	case why == "":
		return fmt.Errorf("journalctl: %w", err)
	case strings.Contains(why, "insufficient permissions"):
		return fmt.Errorf("journalctl: %s: %s", strings.TrimSuffix(why, "."), JournalRepair)
	case strings.Contains(why, "seek to cursor"):
		return fmt.Errorf("journalctl: %w: %s", errCursor, why)
	}
	return fmt.Errorf("journalctl: %w: %s", err, why)
}
