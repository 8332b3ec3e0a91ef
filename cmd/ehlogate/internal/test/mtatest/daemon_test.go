package mtatest_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// newShell is a daemon made of a few words of shell, which says "up" when it is ready, and "hup" on SIGHUP.
func newShell(t *testing.T, script string) *mtatest.Daemon {
	d := mtatest.NewDaemon(tempDir(t), "log", "/bin/sh", mtatest.ReadyLog(regexp.MustCompile("^up$")), "-c", script)
	t.Cleanup(func() {
		if err := d.Kill(soon(t)); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestDaemonLife(t *testing.T) {
	t.Parallel()
	d := newShell(t, "trap 'echo hup' HUP; trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done")
	if err := d.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(soon(t)); err == nil {
		t.Error("Start of a daemon that runs: got no error, want one")
	}
	if err := d.Hang(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := d.HUP(); err != nil {
		t.Fatal(err)
	}
	if said, err := d.Log.Lines(regexp.MustCompile("hup"), 0); err != nil || len(said) > 0 {
		t.Errorf("it hangs, and yet says %q, %v", said, err)
	}
	if err := d.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Log.Await(soon(t), regexp.MustCompile("hup"), 0); err != nil {
		t.Error(err)
	}
	if code, err := d.Term(soon(t)); err != nil || code != 7 {
		t.Errorf("want exit code 7; got %d, %v", code, err)
	}
	if _, err := d.Term(soon(t)); err == nil || d.HUP() == nil || d.Hang(soon(t)) == nil {
		t.Error("Term, HUP and Hang of a daemon that does not run: got no error from one of them, want one from each")
	}
	if err := d.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := d.Restart(soon(t)); err != nil {
		t.Error(err)
	}
	if err := d.Kill(soon(t)); err != nil {
		t.Error(err)
	}
	if up, err := d.Log.Lines(regexp.MustCompile("^up$"), 0); err != nil || len(up) != 3 {
		t.Errorf("want the logs of three starts in one; got %q, %v", up, err)
	}
}

func TestDaemonThatFails(t *testing.T) {
	t.Parallel()
	ends := newShell(t, "echo no such thing; exit 78")
	if err := ends.Start(soon(t)); err == nil || !strings.Contains(err.Error(), "exit status 78") || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("want the exit code and the log; got %v", err)
	}
	never := newShell(t, "echo still busy; exec sleep 60")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := never.Start(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still busy") {
		t.Errorf("want the deadline and the log; got %v", err)
	}
	deaf := newShell(t, "trap '' TERM; echo up; while :; do sleep 0.01; done")
	if err := deaf.Start(soon(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if code, err := deaf.Term(ctx); code != -1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want a kill at the deadline; got %d, %v", code, err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	tally := mtatest.Load(context.Background(), 100, 5, func(_ context.Context, i int) (mtatest.Verdict, time.Duration, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if i < 4 {
			return mtatest.Verdict(i), time.Duration(i) * time.Hour, errors.New("odd")
		}
		return mtatest.Right, time.Duration(i) * time.Millisecond, nil
	})
	want := mtatest.Tally{Sessions: 100, Right: 97, Backup: 1, Wrong: 1, Unanswered: 1, P50: 53 * time.Millisecond, P99: 3 * time.Hour, Max: 3 * time.Hour, Errors: []string{"odd"}}
	if !slices.Equal(tally.Errors, want.Errors) || tally.P50 != want.P50 || tally.P99 != want.P99 || tally.Max != want.Max ||
		tally.Right != want.Right || tally.Backup != 1 || tally.Wrong != 1 || tally.Unanswered != 1 || tally.Sessions != 100 {
		t.Errorf("got %+v\nwant %+v", tally, want)
	}
	if most.Load() > 5 {
		t.Errorf("%d sessions at a time", most.Load())
	}

	ctx, cancel := context.WithCancel(context.Background())
	tally = mtatest.Load(ctx, 0, 1, func(running context.Context, i int) (mtatest.Verdict, time.Duration, error) {
		if i == 9 {
			cancel()
		}
		return mtatest.Right, time.Second, running.Err()
	})
	if tally.Sessions != 10 || len(tally.Errors) > 0 {
		t.Errorf("want ten sessions, all finished: %+v", tally)
	}
}
