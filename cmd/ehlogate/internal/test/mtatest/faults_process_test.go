package mtatest_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestProcessFaults does to the process what is done to processes, again and again, while a real Postfix asks.
func TestProcessFaults(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	playBesideOthers(t)
	table := newFaultTable(t, "What happens to the process")
	r := newEnv(t, table, heldLists, map[string]string{"deny.list": evenDenied()}, func(h *mtatest.Holder) {
		h.Watchdog = 2 * time.Second // more than smtpd waits
	})
	for _, through := range []string{own, held, socketmap} {
		for _, f := range []fault{
			{name: "kill -9", do: func(ctx context.Context, r *env) error { return r.again(ctx, syscall.SIGKILL) }},
			{name: "SIGSTOP, until the watchdog ends it", every: 1000, do: func(ctx context.Context, r *env) error { return r.again(ctx, syscall.SIGSTOP) }},
			{name: "restart", do: func(ctx context.Context, r *env) error { return r.again(ctx, syscall.SIGTERM) }},
			{name: "another program takes its place, and a restart", do: upgrade},
		} {
			f.through, f.backup = through, through != socketmap
			r.playFault(t, f)
		}
	}
}

// upgrade puts a copy in the place of the program, as a package does, and checks that it is the copy that runs then.
func upgrade(ctx context.Context, r *env) error {
	program, err := os.ReadFile(r.Path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.Path+".new", program, 0o755); err != nil {
		return err
	}
	if err := os.Rename(r.Path+".new", r.Path); err != nil {
		return err
	}
	if err := r.again(ctx, syscall.SIGTERM); err != nil {
		return err
	}
	runs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", r.Pid()))
	if err != nil {
		return err
	}
	lies, err := os.Stat(r.Path)
	if err != nil {
		return err
	}
	if !os.SameFile(runs, lies) {
		return fmt.Errorf("it is not the new program that runs")
	}
	return nil
}
