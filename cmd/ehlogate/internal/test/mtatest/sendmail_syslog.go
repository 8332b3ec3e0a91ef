package mtatest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ehlogate/lists/test/testenv"
)

// syslog is a socket in place of /dev/log. What is logged there is appended to a file, as a syslog daemon writes it.
type syslog struct {
	conn  *net.UnixConn
	marks chan struct{} // one for each mark that was read
}

// syslogMark is sent to learn that all that was logged before it is in the file.
const syslogMark = "mark"

// listenSyslog listens in a directory until Close.
func listenSyslog(dir string, log *Log) (*syslog, error) {
	path := filepath.Join(dir, "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listening for what is logged: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // a server logs as its own user
		return nil, fmt.Errorf("opening %s for the server's user: %w", path, err)
	}
	out, err := os.OpenFile(log.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	s := &syslog{conn: conn, marks: make(chan struct{}, 1)}
	go func() {
		defer out.Close()
		s.write(out)
	}()
	return s, nil
}

// write appends each "<PRI>TIME TAG[PID]: MESSAGE" as "TIME HOST TAG[PID]: MESSAGE".
func (s *syslog) write(out *os.File) {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			return
		}
		if string(buf[:n]) == syslogMark {
			s.marks <- struct{}{}
			continue
		}
		line := bytes.TrimRight(buf[bytes.IndexByte(buf[:n], '>')+1:n], "\n\x00")
		if end := len(time.Stamp); len(line) > end {
			line = slices.Concat(line[:end], []byte(" "+hostName), line[end:])
		}
		_, _ = out.Write(append(line, '\n'))
	}
}

// flush returns when all that was logged so far is in the file.
func (s *syslog) flush(ctx context.Context) error {
	conn, err := net.DialUnix("unixgram", nil, s.conn.LocalAddr().(*net.UnixAddr))
	if err != nil {
		return fmt.Errorf("writing a mark to the log: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(syslogMark)); err != nil {
		return fmt.Errorf("writing a mark to the log: %w", err)
	}
	select {
	case <-s.marks:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for a mark in the log: %w", context.Cause(ctx))
	}
}

// AwaitIdle waits until no client is served and all that was logged is in the log, where cfg.Syslog is set.
func (s *Sendmail) AwaitIdle(ctx context.Context) error {
	if err := awaitAlone(ctx, s.daemon, s.queue); err != nil {
		return err
	}
	return s.syslog.flush(ctx)
}

// AwaitIdle waits until no client is served and no message is being delivered.
func (e *Exim) AwaitIdle(ctx context.Context) error { return awaitAlone(ctx, e.daemon, e.spool) }

// awaitAlone waits until no process but the daemon lives in dir.
func awaitAlone(ctx context.Context, daemon *child, dir string) error {
	var pids []int
	err := testenv.Await(ctx, func() (idle bool, err error) {
		pids, err = livingIn(dir)
		return !slices.ContainsFunc(pids, func(pid int) bool { return pid != daemon.pid() }), err
	})
	if err != nil {
		return fmt.Errorf("waiting until processes %v are gone: %w", pids, err)
	}
	return nil
}
