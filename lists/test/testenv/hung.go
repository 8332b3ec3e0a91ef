package testenv

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// HungDir returns a directory on a file system that does not respond until the test ends: FUSE without a server.
func HungDir(t testing.TB) string {
	t.Helper()
	Needs(t, "root")
	dir := t.TempDir()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("hung", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(fd) // what waits gets an error
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
