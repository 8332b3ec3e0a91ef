package testenv

import (
	"fmt"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// HungDir returns a directory on a file system that does not respond until release is called, or the test ends: FUSE without
// a server. Then all that waits gets an error.
func HungDir(t testing.TB) (dir string, release func()) {
	t.Helper()
	Needs(t, "root")
	dir = t.TempDir()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("hung", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { unix.Close(fd) })
	t.Cleanup(func() {
		release()
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, release
}
