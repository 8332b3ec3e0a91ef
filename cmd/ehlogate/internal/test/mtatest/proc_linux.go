package mtatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"ehlogate/lists/test/testenv"
)

// childAttr puts a child into a session and process group of its own, so that no signal of a terminal reaches it and
// Postfix can end its whole group, and has the kernel end it should this process die without stopping it.
func childAttr(onOurDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: onOurDeath}
}

// livingIn returns the processes with dir as their working directory. Every Postfix daemon lives in its queue directory, which
// is ours alone: that finds also those that left the group of their master, as postscreen does.
func livingIn(dir string) ([]int, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", dir, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if err == nil && cwd == dir && state(pid) != 'Z' { // an error: gone meanwhile
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// state returns the letter for what the process does, as proc(5) has it: T stopped, Z ended but not yet waited for. A
// process that is gone is a Z too.
func state(pid int) byte {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 'Z'
	}
	if _, rest, ok := strings.Cut(string(stat), ") "); ok && rest != "" {
		return rest[0]
	}
	return 'Z'
}

// evict waits until no process lives in dir any more; those that still do when the context ends are killed.
func evict(ctx context.Context, dir string) error {
	var pids []int
	err := testenv.Await(ctx, func() (bool, error) {
		var err error
		pids, err = livingIn(dir)
		return len(pids) == 0, err
	})
	if err == nil {
		return nil
	}
	for _, pid := range pids {
		if kerr := syscall.Kill(pid, syscall.SIGKILL); kerr != nil && !errors.Is(kerr, syscall.ESRCH) {
			return fmt.Errorf("killing process %d of %s: %w", pid, dir, kerr)
		}
	}
	return fmt.Errorf("processes %v of %s did not end by themselves and were killed: %w", pids, dir, err)
}
