package mtatest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
	"ehlogate/lists/test/testenv"
)

// TestPostfixStop checks that nothing survives a stop: not a busy smtpd, not one in a jail, and not postscreen, which leaves
// its master's process group; and that the instance can be started again.
func TestPostfixStop(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	p := startPostfix(t, mtatest.PostfixConfig{Dir: tempDir(t), Services: []mtatest.Service{
		{Name: "plain"},
		{Name: "jail", Chroot: true},
		{Name: "screen", Command: "postscreen", Options: map[string]string{"postscreen_greet_wait": "1s"}},
	}})
	for range 2 {
		for _, service := range []string{"plain", "jail", "screen"} {
			c, err := mtatest.Dial(soon(t), p.Addr(service), "127.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if r, err := c.Banner(); err != nil || r.Code != 220 {
				t.Fatalf("banner of %s: %v, %v", service, r, err)
			}
		}
		if n := len(livingIn(t, p.Queue)); n < 5 {
			t.Errorf("want the master and some servers to run; found %d processes", n)
		}
		if err := p.Stop(soon(t)); err != nil {
			t.Fatal(err)
		}
		if pids := livingIn(t, p.Queue); len(pids) > 0 {
			t.Errorf("still running: %v", pids)
		}
		if err := p.Start(soon(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// livingIn returns the processes with dir as their working directory.
func livingIn(t *testing.T, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && cwd == dir {
			found = append(found, link)
		}
	}
	return found
}

// TestPostfixStartFails checks that an instance that cannot start says why.
func TestPostfixStartFails(t *testing.T) {
	testenv.Needs(t, "root", "Postfix")
	t.Parallel()
	p, err := mtatest.NewPostfix(mtatest.PostfixConfig{Dir: tempDir(t), Main: "inet_interfaces = 192.0.2.1", Services: []mtatest.Service{{Name: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Start(ctx); err == nil || !strings.Contains(err.Error(), "no local interface found for 192.0.2.1") {
		t.Errorf("want the reason from the log; got %v", err)
	}
	if pids := livingIn(t, p.Queue); len(pids) > 0 {
		t.Errorf("still running: %v", pids)
	}
}
