package mtatest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestShortageFaults takes file descriptors and memory from ehlogate.
func TestShortageFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	table := newFaultTable(t, "What runs short")
	r := newEnv(t, table, heldLists, map[string]string{"deny.list": evenDenied()}, func(h *mtatest.Holder) {
		h.User = 0 // ours, or we might not change its limits
	})
	r.playFault(t, fault{name: "no file descriptor is left", through: both, do: func(ctx context.Context, r *env) error {
		pid := r.Pid()
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return err
		}
		var old unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &old); err != nil {
			return err
		}
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)), Max: old.Max}, nil); err != nil {
			return err
		}
		// Smtpds that end, and those that come after them, need new connections.
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &old, nil)
	}})

	group := memoryGroup(t)
	more := newEnv(t, table, heldLists+"[[list]]\nname = \"more\"\naction = \"suppress\"\nfiles = [\"more.list\"]\n",
		map[string]string{"deny.list": evenDenied(), "more.list": manyEntries(1)}, func(h *mtatest.Holder) {
			h.Exec = []string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(group.dir, "cgroup.procs")}
		})
	group.limit(t) // hardly more than it has needed so far
	turn := 1
	more.playFault(t, fault{name: "memory for a list of a million, and not for its reload", through: both, backup: true, every: 1000, do: func(ctx context.Context, r *env) error {
		ready := r.CountStates("READY=1")
		loaded, err := r.metric(`ehlogate_list_loaded_timestamp_seconds{list="more"}`)
		if err != nil {
			return err
		}
		turn++
		if err := r.write("more.list", manyEntries(turn)); err != nil {
			return err
		}
		for { // it is loaded, or it took the process with it and another has loaded it
			if r.CountStates("READY=1") > ready {
				return nil
			}
			if now, err := r.metric(`ehlogate_list_loaded_timestamp_seconds{list="more"}`); err == nil && now > loaded {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
	}})
	if more.Starts() == 1 {
		t.Errorf("%d MB were enough: that is no shortage", group.bytes>>20)
	}
}

// manyEntries is a list of a million addresses that the clients here do not have.
func manyEntries(turn int) string {
	b := []byte(fmt.Sprintf("# %d\n", turn))
	for i := range 1_000_000 {
		b = fmt.Appendf(b, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
	}
	return string(b)
}

// cgroup is a control group for memory.
type cgroup struct {
	dir       string
	max, peak string // the files with the limit, and with the most that was used
	bytes     int64  // the limit
}

// memoryGroup makes a control group that the user nobody may enter. It goes with the test.
func memoryGroup(t *testing.T) *cgroup {
	t.Helper()
	name := "ehlogate-test-" + strconv.Itoa(os.Getpid())
	g := &cgroup{dir: "/sys/fs/cgroup/" + name, max: "memory.max", peak: "memory.peak"} // cgroups(7), version 2
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil {
		g = &cgroup{dir: "/sys/fs/cgroup/memory/" + name, max: "memory.limit_in_bytes", peak: "memory.max_usage_in_bytes"} // version 1
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatalf("a control group is needed, for which the tests must run as root: %v", err)
	}
	t.Cleanup(func() {
		testenv.Eventually(t, "the processes of the control group are gone", func() bool { return os.Remove(g.dir) == nil })
	})
	if err := os.Chown(filepath.Join(g.dir, "cgroup.procs"), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return g
}

// limit allows what has been used at most until now.
func (g *cgroup) limit(t *testing.T) {
	t.Helper()
	used, err := os.ReadFile(filepath.Join(g.dir, g.peak))
	if err != nil {
		t.Fatal(err)
	}
	if g.bytes, err = strconv.ParseInt(strings.TrimSpace(string(used)), 10, 64); err != nil {
		t.Fatal(err)
	}
	g.bytes += g.bytes / 8 // no two starts need the same, and one that does not fit would be tried for ever
	if err := os.WriteFile(filepath.Join(g.dir, g.max), fmt.Append(nil, g.bytes), 0); err != nil {
		t.Fatal(err)
	}
}

// TestClockFaults sets the clock back and forth across the end of the entries.
func TestClockFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	table := newFaultTable(t, "What happens to the clock")
	program, err := mtatest.Program(testenv.RacePrograms, "setclock")
	if err != nil {
		t.Fatal(err)
	}
	const before, after = "2030-05-31T23:59:59Z", "2030-06-01T00:00:01Z"
	clock := filepath.Join(tempDir(t), "clock")
	set := func(now string) error {
		if err := os.WriteFile(clock+".new", []byte(now), 0o644); err != nil {
			return err
		}
		return os.Rename(clock+".new", clock)
	}
	if err := set(before); err != nil {
		t.Fatal(err)
	}
	r := newEnv(t, table, heldLists, map[string]string{"deny.list": strings.ReplaceAll(evenDenied(), "\n", " until=2030-05-31\n")}, func(h *mtatest.Holder) {
		h.Path = program
		h.Env = []string{"EHLOGATE_CLOCK=" + clock}
	})
	// While the clock is being set either answer is right.
	var state atomic.Pointer[clockState]
	state.Store(&clockState{expired: false})
	r.denied = func(last int, from, _ time.Time) (yes, no bool) {
		s := state.Load()
		even := last%2 == 0
		if s.setting || s.since.After(from) {
			return even, true
		}
		return even && !s.expired, !even || s.expired
	}
	expired := false
	r.playFault(t, fault{name: "clock set back and forth across until=", through: both, do: func(context.Context, *env) error {
		expired = !expired
		state.Store(&clockState{setting: true})
		err := set(map[bool]string{true: after, false: before}[expired])
		state.Store(&clockState{expired: expired, since: time.Now()})
		return err
	}})
}

// clockState is what the clock says of the entries.
type clockState struct {
	expired, setting bool
	since            time.Time
}
