package mtatest_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/journaltest"
	"ehlogate/lists/test/logtest"
	"ehlogate/lists/test/testenv"
)

// logEnv is an env in which ehlogate reads logs.
type logEnv struct {
	*env
	t                *testing.T
	dir, log, socket string
	lines            []byte // of a Postfix
	degraded, unread string // metrics of the log
}

func newLogEnv(t *testing.T) *logEnv {
	t.Helper()
	l := &logEnv{t: t, dir: tempDir(t)}
	l.log, l.socket = filepath.Join(l.dir, "mail.log"), filepath.Join(l.dir, "socket")
	if err := errors.Join(l.renew(), os.Chmod(l.dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if err := logtest.WritePostfix(&lines, 20_000, 1000); err != nil {
		t.Fatal(err)
	}
	l.lines = lines.Bytes()
	l.degraded, l.unread = fmt.Sprintf("ehlogate_log_degraded{source=%q}", l.log), fmt.Sprintf("ehlogate_log_unread_lines_total{source=%q}", l.log)
	config := fmt.Sprintf("[logs]\nfiles = [%q]\nsocket = %q\nstate = %q\n", l.log, l.socket, filepath.Join(l.dir, "logs.json"))
	l.env = newEnv(t, newFaultTable(t, "What happens to the logs of [logs]"), config+heldLists, map[string]string{"deny.list": evenDenied()}, nil)
	return l
}

// renew puts an empty log in the place of what is there.
func (l *logEnv) renew() error {
	if err := os.WriteFile(l.log+".new", nil, 0o644); err != nil {
		return err
	}
	if info, err := os.Lstat(l.log); err == nil && info.IsDir() {
		if err := os.Remove(l.log); err != nil {
			return err
		}
	}
	return os.Rename(l.log+".new", l.log)
}

// write appends to the log.
func (l *logEnv) write(text []byte) error {
	f, err := os.OpenFile(l.log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(text)
	return err
}

// awaitValue waits until a metric has a value.
func (r *env) awaitValue(ctx context.Context, name string, is func(float64) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return testenv.Await(ctx, func() (bool, error) {
		now, err := r.metric(name)
		return err == nil && is(now), err
	})
}

// noLog is a fault of a log that is noticed, and repaired when that has been seen.
func (l *logEnv) noLog(name string, harm func() error) fault {
	return fault{name: name, every: 1000, do: func(ctx context.Context, r *env) error {
		if err := harm(); err != nil {
			return err
		}
		if err := r.awaitValue(ctx, l.degraded, func(v float64) bool { return v == 1 }); err != nil {
			return err
		}
		if err := l.renew(); err != nil {
			return err
		}
		return r.awaitValue(ctx, l.degraded, func(v float64) bool { return v == 0 })
	}}
}

// TestLogFaults does to the logs of [logs] what is done to files and sockets. No session gets another answer.
func TestLogFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	l := newLogEnv(t)
	yesterday := bytes.ReplaceAll(l.lines, []byte("Nov  1"), []byte(time.Now().AddDate(0, 0, -1).Format("Jan _2")))
	for _, f := range []fault{
		l.noLog("log gone", func() error { return os.Remove(l.log) }),
		l.noLog("log that may not be read", func() error {
			return errors.Join(os.Remove(l.log), os.WriteFile(l.log, l.lines, 0o200), os.Chmod(l.log, 0))
		}),
		l.noLog("log replaced by a directory", func() error { return errors.Join(os.Remove(l.log), os.Mkdir(l.log, 0o755)) }),
		l.noLog("log on a file system that does not respond", func() error {
			hung, release := testenv.HungDir(l.t)
			time.AfterFunc(15*time.Second, release) // so that it is noticed
			return errors.Join(os.Remove(l.log), os.Symlink(filepath.Join(hung, "mail.log"), l.log))
		}),
		{name: "8 MB of random bytes in the log", do: func(ctx context.Context, r *env) error {
			before, err := r.metric(l.unread)
			if err != nil {
				return err
			}
			noise := make([]byte, 8<<20)
			rand.Read(noise)
			return errors.Join(l.write(noise), r.awaitMetric(ctx, l.unread, before+1000))
		}},
		{name: "log that is a day behind", do: func(ctx context.Context, r *env) error {
			return errors.Join(l.write(bytes.Repeat(yesterday, 10)), r.awaitMetric(ctx, strings.Replace(l.degraded, "degraded", "lag_seconds", 1), 12*3600), l.renew())
		}},
		{name: "log of 10 GB appears, most of it zeros", every: 2000, do: func(ctx context.Context, r *env) error {
			before, err := r.metric(strings.Replace(l.unread, "unread_", "", 1))
			if err != nil {
				return err
			}
			return errors.Join(l.renew(), l.write(l.lines), os.Truncate(l.log, 10<<30), r.awaitMetric(ctx, strings.Replace(l.unread, "unread_", "", 1), before))
		}},
		{name: "log that grows by 200 MB/s, for a second", do: func(ctx context.Context, r *env) error {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for begin := time.Now(); time.Since(begin) < time.Second; <-tick.C {
				if err := l.write(bytes.Repeat(l.lines, 20<<20/len(l.lines)+1)); err != nil {
					return err
				}
			}
			return os.Truncate(l.log, 0)
		}},
		{name: "socket flooded with lines", do: func(ctx context.Context, r *env) error { return floodLog(ctx, l.socket) }},
	} {
		f.through = both
		l.playFault(t, f)
	}
}

// floodLog sends lines to a socket for a second, as fast as it takes them.
func floodLog(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	done := make(chan error)
	for range 4 {
		go func() {
			conn, err := net.Dial("unixgram", socket)
			if err != nil {
				done <- err
				return
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			for ctx.Err() == nil {
				if _, err = fmt.Fprintf(conn, "<22>%s mx postfix/smtpd[7]: connect from unknown[192.0.2.7]", time.Now().Format(time.Stamp)); err != nil && ctx.Err() == nil {
					break
				}
			}
			if ctx.Err() != nil {
				err = nil
			}
			done <- err
		}()
	}
	var all error
	for range 4 {
		all = errors.Join(all, <-done)
	}
	return all
}

// TestJournalFaults does to journalctl what is done to processes, and floods the journal.
func TestJournalFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix", "systemd")
	j := journaltest.Start(t, "")
	const lines = `ehlogate_log_lines_total{source="journal"}`
	log := func() { j.Log(2<<3|6, "postfix/smtpd[7]", "connect from unknown[192.0.2.7]") }
	r := newEnv(t, newFaultTable(t, "What happens to the journal of [logs]"), "[logs]\njournal = true\nstate = \"\"\n"+heldLists,
		map[string]string{"deny.list": evenDenied()}, func(h *mtatest.Holder) { h.User = 0 }) // root, to enter the namespace of the journal
	read := func(ctx context.Context, count int) error {
		before, err := r.metric(lines)
		if err != nil {
			return err
		}
		for range count {
			log()
		}
		return r.awaitMetric(ctx, lines, before+float64(count)-1)
	}
	signal := func(ctx context.Context, s syscall.Signal) error {
		if err := read(ctx, 1); err != nil { // it runs
			return err
		}
		pids := journaltest.FindFollowers(r.Pid())
		if len(pids) != 1 {
			return fmt.Errorf("%d journalctl run", len(pids))
		}
		return errors.Join(syscall.Kill(pids[0], s), read(ctx, 1))
	}
	for _, f := range []fault{
		{name: "journalctl killed", do: func(ctx context.Context, r *env) error { return signal(ctx, syscall.SIGKILL) }},
		{name: "journalctl hangs", every: 1000, do: func(ctx context.Context, r *env) error { return signal(ctx, syscall.SIGSTOP) }},
		{name: "10,000 lines in the journal at once", do: func(ctx context.Context, r *env) error {
			return read(ctx, 10_000)
		}},
	} {
		f.through = both
		r.playFault(t, f)
	}
}
