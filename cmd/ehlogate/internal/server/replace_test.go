package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"ehlogate/lists/test/testenv"
)

// TestReplace lets clients connect without a pause while the socket under them is replaced: first a dead one, then again
// and again a live one of this process.
func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memcache")
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	deadSocket(t, path)
	must(t, os.Chmod(path, 0o600))

	var stop atomic.Bool
	var alive atomic.Bool // set once Open has replaced the dead socket
	var asked atomic.Int64
	var clients sync.WaitGroup
	defer clients.Wait()
	defer stop.Store(true)
	for range 4 {
		clients.Go(func() {
			for !stop.Load() {
				was := alive.Load()
				c, err := net.DialUnix("unix", nil, addr)
				if !was && errors.Is(err, syscall.ECONNREFUSED) {
					continue
				}
				if err == nil {
					err = ask(c, "hello")
					c.Close()
				}
				if err != nil {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	clients.Go(func() {
		for !stop.Load() {
			was := alive.Load()
			if fi, err := os.Lstat(path); err != nil || was && fi.Mode() != fs.ModeSocket|0o606 {
				t.Errorf("in between: %v, %v", fi, err)
				return
			}
			// Until mode and group are set, no process may connect by the temporary name.
			if fi, err := os.Lstat(path + tempSuffix); err == nil && fi.Mode().Perm() != 0 && fi.Mode().Perm() != 0o606 {
				t.Errorf("the temporary socket: %v", fi.Mode())
				return
			}
		}
	})

	for range 50 {
		ln, err := Listen(path, SocketOptions{Mode: 0o606}) // not what any umask would make of it
		must(t, err)
		alive.Store(true)
		serve(t, &Server{Handler: echo}, ln)
		seen := asked.Load()
		testenv.Eventually(t, "more clients are served", func() bool { return asked.Load() > seen+20 || t.Failed() })
	}
}

// TestOpenAtOnce starts many on one path: the last one has it, and none is disturbed half-way.
func TestOpenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			ln, err := Listen(path, SocketOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { ln.Close() })
		})
	}
	wg.Wait()
	dial(t, &net.UnixAddr{Name: path, Net: "unix"})
	if names, _ := filepath.Glob(path + "*"); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}
