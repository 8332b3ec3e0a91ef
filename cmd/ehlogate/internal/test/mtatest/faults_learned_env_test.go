package mtatest_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// The clients of a learnEnv that are not those of any env.
const (
	failingClient    = "11.0.4.1" // all of its handshakes fail
	encryptingClient = "11.0.6.1" // it completed TLS, and an attacker makes its handshakes fail
)

// learnEnv is an env in which ehlogate learns from a log. The good client gets STARTTLS in each of its sessions. The broken one
// may get it, and may not from when its entry ends.
type learnEnv struct {
	*env
	learning
	t                     *testing.T
	log                   *learningLog
	logState, disk, store string
	ends                  atomic.Pointer[time.Time] // nil: the entry of the broken client may live
	marks                 int                       // how many clients awaitLearned had
}

// farClient is a client at another address than ours.
type farClient struct {
	addr   netip.Addr
	denied func(from, to time.Time) (yes, no bool) // as that of env
}

// playClient plays a session of a client. XCLIENT gives Postfix its address, unless that is one of this machine.
func playClient(ctx context.Context, addr string, client netip.Addr) (mtatest.Result, error) {
	if client.IsLoopback() {
		return mtatest.Session(ctx, addr, client.String(), "client.example")
	}
	g, err := greet(ctx, addr, client)
	if err != nil {
		return mtatest.Result{}, err
	}
	g.Quit()
	return mtatest.Result{Reply: g.reply, EHLO: g.took}, nil
}

// learnedList is the list, whose entries may suppress any number of sessions, and have no probes: what ends them is the fault.
const learnedList = "min_sessions = 100000000\nprobe_sessions = 100000000\n[[list]]\nname = \"broken\"\nlearn = \"fallback\"\naction = \"suppress\"\nmode = \"enforce\"\n"

// newLearnEnv starts an env; numbers are more keys of [fallback].
func newLearnEnv(t *testing.T, numbers string, tune func(*mtatest.Holder)) *learnEnv {
	t.Helper()
	l := &learnEnv{t: t, disk: tempDir(t)}
	mustDo(t, syscall.Mount("tmpfs", l.disk, "tmpfs", 0, "size=8m,mode=777"))
	t.Cleanup(func() {
		if err := syscall.Unmount(l.disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := tempDir(t)
	mustDo(t, os.Chmod(dir, 0o777))
	l.store, l.logState = filepath.Join(l.disk, "learned.db"), filepath.Join(dir, "logs.json")
	var err error
	l.log, err = newLearningLog(filepath.Join(dir, "mail.log"), time.Now().Add(-10*time.Hour))
	mustDo(t, err)
	config := fmt.Sprintf("guard.off = true\n[logs]\nfiles = [%q]\nstate = %q\n[learn]\nstate = %q\n", l.log.path, l.logState, l.store) +
		learnedNumbers + numbers + learnedList + heldLists
	l.env = newEnv(t, newFaultTable(t, "What happens to lists that learn"), config, map[string]string{"deny.list": evenDenied()}, tune)
	l.learning = learning(l.at["http"])
	l.others = []farClient{
		{netip.MustParseAddr(failingClient), func(from, _ time.Time) (yes, no bool) {
			ends := l.ends.Load()
			return ends == nil || from.Before(*ends), true
		}},
		{netip.MustParseAddr(encryptingClient), func(time.Time, time.Time) (yes, no bool) { return false, true }},
	}
	mustDo(t, awaitReading(context.Background(), l.logState))
	return l
}

// learn has both clients fail, the good one after a success, until the broken one is suppressed. No failure is on its way when
// it returns: a client that fails while its entry lives is not offered STARTTLS when that life ends.
func (l *learnEnv) learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	for {
		c, err := l.client(ctx, encryptingClient)
		switch {
		case ctx.Err() != nil:
			return errors.Join(fmt.Errorf("the client is not learned: %w", ctx.Err()), l.explain(failingClient))
		case err != nil, c.Fallback.NotLearned == nil: // there is no report at present
			time.Sleep(10 * time.Millisecond)
			continue
		case c.isLive():
			return fmt.Errorf("the client that completed TLS is suppressed: %+v", c)
		case c.Fallback.Immune == "":
			if err := l.write(completedTLS, encryptingClient); err != nil {
				return err
			}
			if err := l.awaitClient(ctx, encryptingClient, "the success is known", func(c *learnedClient) bool { return c.Fallback.Immune != "" }); err != nil {
				return err
			}
		}
		if c, err = l.client(ctx, failingClient); err == nil && c.isLive() {
			if answer, err := l.answer(ctx); err != nil || answer == "suppress" {
				return err
			}
			time.Sleep(10 * time.Millisecond) // it is suppressed soon, or the entry has ended
			continue
		}
		if err := errors.Join(l.write(failedTLS, failingClient, encryptingClient), l.awaitLearned(ctx)); err != nil {
			return err
		}
	}
}

// awaitLearned waits until the sessions that the log has were learned from, and the next failure may be evidence. Sessions are
// learned from in their order, and that of a client that completes TLS is seen to be. If it is lost, another one takes its place.
func (l *learnEnv) awaitLearned(ctx context.Context) error {
	l.marks++
	mark := fmt.Sprintf("15.%d.%d.1", l.marks>>8, l.marks&255)
	for {
		if err := errors.Join(l.write(completedTLS, mark), l.awaitSpacing(ctx)); err != nil {
			return err
		}
		if c, err := l.client(ctx, mark); err == nil && c.Fallback.Immune != "" {
			return nil
		}
	}
}

func (l *learnEnv) write(lines []string, clients ...string) error {
	return l.log.write(lines, clients...)
}

// explain returns what is known of a client, as an error.
func (l *learnEnv) explain(addr string) error {
	c, err := l.client(context.Background(), addr)
	h, _ := l.health(context.Background())
	return errors.Join(err, fmt.Errorf("of %s is known: %+v; %+v", addr, c, h))
}

// answer returns the action for the broken client.
func (l *learnEnv) answer(ctx context.Context) (string, error) {
	var d struct{ Decision struct{ Action string } }
	err := l.get(ctx, "/api/v1/decision?addr="+failingClient, &d)
	return d.Decision.Action, err
}

// awaitAnswer waits until the broken client gets an answer.
func (l *learnEnv) awaitAnswer(ctx context.Context, action string) error {
	return l.awaitHealth(ctx, "the broken client gets "+action, func(learnedHealth) bool {
		answer, err := l.answer(ctx)
		return err == nil && answer == action
	})
}

// play plays a fault, each time of a client that is learned.
func (l *learnEnv) play(name string, backup bool, do func(ctx context.Context) error) {
	l.t.Helper()
	l.playFault(l.t, fault{name: name, through: both, backup: backup, every: 1000, do: func(ctx context.Context, _ *env) error {
		if err := l.learn(ctx); err != nil {
			return err
		}
		if err := do(ctx); err != nil {
			return err
		}
		return l.learn(ctx)
	}})
}
