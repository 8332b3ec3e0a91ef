package mtatest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// setClock is a clock that goes, and that a test sets: a file for EHLOGATE_CLOCK.
type setClock struct {
	path  string
	ahead atomic.Int64 // of the clock of the machine, in ns
}

// newSetClock returns a clock, and what has a program go by it.
func newSetClock(t *testing.T) (*setClock, func(*mtatest.Holder)) {
	t.Helper()
	program, err := mtatest.Program(testenv.RacePrograms, "setclock")
	mustDo(t, err)
	c := &setClock{path: filepath.Join(tempDir(t), "clock")}
	mustDo(t, c.write())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := c.write(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return c, func(h *mtatest.Holder) { h.Path, h.Env = program, []string{"EHLOGATE_CLOCK=" + c.path} }
}

func (c *setClock) write() error {
	now := time.Now().Add(time.Duration(c.ahead.Load()))
	if err := os.WriteFile(c.path+".new", []byte(now.Format(time.RFC3339Nano)), 0o644); err != nil {
		return err
	}
	return os.Rename(c.path+".new", c.path)
}

// set sets the clock. It counts from its next tick on.
func (c *setClock) set(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// TestLearnedClockFaults sets the clock by more than entries live.
func TestLearnedClockFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	clock, tune := newSetClock(t)
	l := newLearnEnv(t, "", tune)
	l.play("clock set forward by 29 days, and back", false, func(ctx context.Context) error {
		defer l.ends.Store(nil)
		l.endWithin(lifeSlack)
		clock.set(29 * 24 * time.Hour)
		err := l.awaitAnswer(ctx, "offer")
		c, errGood := l.client(ctx, encryptingClient)
		if c.Fallback.Immune == "" {
			err = errors.Join(err, errors.New("the client that completed TLS is not immune any more"), l.explain(encryptingClient))
		}
		clock.set(0)
		return errors.Join(err, errGood)
	})
}

const (
	shortLife = 12 * time.Second
	// lifeSlack is how long after its end an entry may still answer: by the time for which logs were followed, which ends it
	// if the clock was set back, it ends with the second.
	lifeSlack = 3 * time.Second
)

// endWithin has the broken client get STARTTLS again after a time.
func (l *learnEnv) endWithin(d time.Duration) {
	ends := time.Now().Add(d)
	l.ends.Store(&ends)
}

// TestLearnedLifeFaults has the life of an entry end in the midst of faults. It ends in time all the same: no session
// after that is suppressed.
func TestLearnedLifeFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	clock, tune := newSetClock(t)
	l := newLearnEnv(t, fmt.Sprintf("life = \"%v\"\nmax_life = \"%[1]v\"\n", shortLife), tune)
	outlive := func(name string, do func(ctx context.Context) error) {
		l.play("the life of an entry ends: "+name, false, func(ctx context.Context) error {
			defer l.ends.Store(nil)
			if err := errors.Join(l.awaitAnswer(ctx, "offer"), l.learn(ctx)); err != nil { // so that it is a new one
				return err
			}
			l.endWithin(shortLife + lifeSlack)
			for range 2 { // else it is withdrawn with what was learned just before the fault
				if err := l.awaitSpacing(ctx); err != nil {
					return err
				}
			}
			if answer, err := l.answer(ctx); err != nil || answer != "suppress" {
				return errors.Join(err, fmt.Errorf("it has ended before the fault: %s", answer), l.explain(failingClient))
			}
			return do(ctx)
		})
	}
	outlive("clock set back by a year", func(ctx context.Context) error {
		clock.set(-365 * 24 * time.Hour)
		defer clock.set(0)
		if err := l.awaitHealth(ctx, "the clock is seen", func(h learnedHealth) bool { return h.Breaker != "" }); err != nil {
			return err
		}
		if answer, err := l.answer(ctx); err != nil || answer != "suppress" {
			return errors.Join(err, fmt.Errorf("the clock ended the entry: %s", answer), l.explain(failingClient))
		}
		return l.awaitAnswer(ctx, "offer")
	})
	outlive("its log gone", func(ctx context.Context) error {
		return errors.Join(os.Remove(l.log.path), l.awaitAnswer(ctx, "offer"), os.WriteFile(l.log.path, nil, 0o644),
			l.awaitValue(ctx, fmt.Sprintf("ehlogate_log_degraded{source=%q}", l.log.path), func(v float64) bool { return v == 0 }))
	})
	outlive("the file system of its file hangs (strace)", func(ctx context.Context) error {
		return l.whileStoreHangs(ctx, func() error { return l.awaitAnswer(ctx, "offer") })
	})
}
