package mtatest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/lists/test/testenv"
)

// TestLearnedLogFaults does to the log from which lists learn what is done to logs.
func TestLearnedLogFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	l := newLearnEnv(t, "", nil)
	degraded, lines := fmt.Sprintf("ehlogate_log_degraded{source=%q}", l.log.path), fmt.Sprintf("ehlogate_log_lines_total{source=%q}", l.log.path)
	const other = "11.0.10.1"
	hasNone := func(ctx context.Context) error {
		for range 2 {
			if err := l.awaitSpacing(ctx); err != nil {
				return err
			}
		}
		if c, err := l.client(ctx, other); err != nil || c.Fallback.Entry != nil || len(c.Fallback.Evidence) > 1 {
			return errors.Join(err, l.explain(other))
		}
		return nil
	}
	read := func(ctx context.Context, text string) error {
		before, err := l.metric(lines)
		if err != nil {
			return err
		}
		return errors.Join(appendText(l.log.path, text), l.awaitMetric(ctx, lines, before+float64(strings.Count(text, "\n"))-1))
	}
	l.play("its log gone, and back", false, func(ctx context.Context) error {
		return errors.Join(os.Remove(l.log.path), l.awaitValue(ctx, degraded, func(v float64) bool { return v == 1 }),
			os.WriteFile(l.log.path, nil, 0o644), l.awaitValue(ctx, degraded, func(v float64) bool { return v == 0 }))
	})
	l.play("8 MB of random bytes in its log", false, func(ctx context.Context) error {
		noise := make([]byte, 8<<20)
		rand.Read(noise)
		return read(ctx, string(noise)+"\n")
	})
	l.play("failures of a client, repeated 1,000 times in its log", false, func(ctx context.Context) error {
		once := formatSessions(l.log.now, failedTLS, other)
		return errors.Join(read(ctx, strings.Repeat(once, 1000)), l.write(failedTLS, failingClient), hasNone(ctx))
	})
	l.play("failures of last year in its log", false, func(ctx context.Context) error {
		for n := range 4 {
			old := time.Now().AddDate(-1, 0, 0).Add(time.Duration(n) * time.Hour)
			if err := errors.Join(read(ctx, formatSessions(old, failedTLS, other)+formatSessions(old.Add(countsAfter), []string{"connect from unknown[198.51.100.9]"}, "")), l.awaitSpacing(ctx)); err != nil {
				return err
			}
		}
		return hasNone(ctx)
	})
	l.play("forged failures of a client that completed TLS", false, func(ctx context.Context) error {
		for range 4 {
			if err := errors.Join(l.write(failedTLS, encryptingClient), l.awaitSpacing(ctx)); err != nil {
				return err
			}
		}
		if c, err := l.client(ctx, encryptingClient); err != nil || c.Fallback.Entry != nil || c.Fallback.Immune == "" {
			return errors.Join(err, l.explain(encryptingClient))
		}
		return nil
	})
	l.play("20,000 sessions of other clients at once in its log", false, func(ctx context.Context) error {
		var flood strings.Builder
		for n := range 20_000 {
			lines := completedTLS
			if n%2 == 0 {
				lines = failedTLS
			}
			flood.WriteString(formatSessions(l.log.now, lines, fmt.Sprintf("12.%d.%d.%d", n>>16, n>>8&255, n&255)))
		}
		return errors.Join(read(ctx, flood.String()), l.write(completedTLS, encryptingClient))
	})
}

// TestLearnedStoreFaults does to the file that keeps what was learned what is done to files.
func TestLearnedStoreFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	l := newLearnEnv(t, "", nil)
	isAside := func(old string) func(learnedHealth) bool {
		return func(h learnedHealth) bool { return h.Aside != "" && h.Aside != old }
	}
	// broken is a fault of the content, which is noticed at the latest with the next session that is learned from.
	broken := func(harm func() error) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			h, err := l.health(ctx)
			return errors.Join(err, harm(), l.write(deliveredInClear, "11.0.11.1"), l.awaitHealth(ctx, "the file is put aside", isAside(h.Aside)))
		}
	}
	l.play("its file overwritten by random bytes", false, broken(func() error {
		file, err := os.OpenFile(l.store, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		noise := make([]byte, info.Size())
		rand.Read(noise)
		_, err = file.WriteAt(noise, 0)
		return err
	}))
	l.play("its file cut short (SIGBUS)", false, broken(func() error { return os.Truncate(l.store, 4096) }))
	l.play("its disk full", false, func(ctx context.Context) error {
		const isFull = "no space left"
		filler := filepath.Join(l.disk, "filler")
		if err := os.WriteFile(filler, make([]byte, 16<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("the disk is not full: %w", err)
		}
		// More clients than have room in the file: it must grow.
		isFailing := false
		for n := 0; !isFailing && n < 100; n++ {
			var clients []string
			for i := range 1000 {
				clients = append(clients, fmt.Sprintf("13.%d.%d.%d", n, i>>8, i&255))
			}
			if err := l.write(deliveredInClear, clients...); err != nil {
				return err
			}
			if err := l.awaitSpacing(ctx); err != nil {
				return err
			}
			h, err := l.health(ctx)
			if err != nil {
				return err
			}
			isFailing = strings.Contains(h.Error, isFull)
		}
		if !isFailing {
			return errors.Join(errors.New("a full disk is not noticed"), l.explain(failingClient))
		}
		return errors.Join(l.awaitAnswer(ctx, "suppress"), os.Remove(filler), l.awaitHealth(ctx, "it works", func(h learnedHealth) bool { return !strings.Contains(h.Error, isFull) }))
	})
	l.play("the file system of its file hangs (strace)", false, l.hangStore)
	l.play("its file removed, and a restart", true, func(ctx context.Context) error {
		return errors.Join(os.Remove(l.store), l.awaitAnswer(ctx, "suppress"), l.again(ctx, syscall.SIGTERM), l.awaitAnswer(ctx, "offer"))
	})
	l.play("kill -9", true, func(ctx context.Context) error {
		return errors.Join(l.again(ctx, syscall.SIGKILL), l.awaitAnswer(ctx, "suppress"))
	})
	l.play("its file locked by another process, and a restart", true, func(ctx context.Context) error {
		if err := os.Rename(l.store, l.store+".moved"); err != nil { // what holds it now keeps it
			return err
		}
		text, err := os.ReadFile(l.store + ".moved")
		if err != nil {
			return err
		}
		other, err := os.OpenFile(l.store, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer other.Close()
		if _, err := other.Write(text); err != nil {
			return err
		}
		err = errors.Join(other.Chown(nobody, nobody), syscall.Flock(int(other.Fd()), syscall.LOCK_EX), l.again(ctx, syscall.SIGKILL),
			l.awaitHealth(ctx, "the lock is seen", func(h learnedHealth) bool { return strings.Contains(h.Error, "another process") }), l.awaitAnswer(ctx, "offer"))
		return errors.Join(err, other.Close(), l.awaitAnswer(ctx, "suppress"), os.Remove(l.store+".moved"))
	})
}

// hangStore lets every write to the file hang for longer than a write may take.
func (l *learnEnv) hangStore(ctx context.Context) error {
	return l.whileStoreHangs(ctx, func() error { return l.awaitAnswer(ctx, "suppress") })
}

// whileStoreHangs does something while every write to the file hangs for longer than a write may take, and that is known.
func (l *learnEnv) whileStoreHangs(ctx context.Context, do func() error) error {
	const isHung = "does not respond"
	tracer := exec.CommandContext(ctx, "strace", "-f", "-o", "/dev/null", "-e", "trace=pwrite64,fdatasync", "-P", l.store,
		"-e", "inject=pwrite64,fdatasync:delay_enter=12000000", "-p", fmt.Sprint(l.Pid()))
	if err := tracer.Start(); err != nil {
		return err
	}
	err := errors.Join(l.write(deliveredInClear, "11.0.11.1"), l.awaitHealth(ctx, "it is known that it hangs", func(h learnedHealth) bool { return strings.Contains(h.Error, isHung) }))
	if err == nil {
		err = do()
	}
	_ = tracer.Process.Signal(syscall.SIGINT) // it lets go of the process, and ends
	_ = tracer.Wait()
	return errors.Join(err, l.awaitHealth(ctx, "it responds", func(h learnedHealth) bool { return !strings.Contains(h.Error, isHung) }))
}
