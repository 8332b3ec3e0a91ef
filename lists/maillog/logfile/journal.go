package logfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// journalFields are what package maillog reads of an entry.
const journalFields = "MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_HOSTNAME,_SYSTEMD_UNIT"

// OpenJournal runs journalctl(1) for what was logged to the facility mail since then; the zero time means from the
// beginning. Close ends it, and returns its error.
func OpenJournal(ctx context.Context, since time.Time) (*Log, error) {
	args := []string{"--output=json", "--output-fields=" + journalFields, "--quiet", "--no-pager"}
	if !since.IsZero() {
		args = append(args, fmt.Sprintf("--since=@%d", since.Unix()))
	}
	cmd := exec.CommandContext(ctx, "journalctl", append(args, "SYSLOG_FACILITY=2")...)
	child := &journalctl{cmd: cmd}
	cmd.Stderr = &child.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	child.Reader = out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	l, err := newLog(child)
	if err != nil {
		return nil, fmt.Errorf("journalctl: %w", err)
	}
	return l, nil
}

type journalctl struct {
	io.Reader
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

// Close implements [io.Closer].
func (j *journalctl) Close() error {
	_, _ = io.Copy(io.Discard, j.Reader)
	if err := j.cmd.Wait(); err != nil {
		return fmt.Errorf("journalctl: %w: %s", err, bytes.TrimSpace(j.stderr.Bytes()))
	}
	return nil
}
