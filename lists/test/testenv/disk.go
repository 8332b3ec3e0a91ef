package testenv

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// SmallDisk returns a directory on a file system of its own that has so many bytes.
func SmallDisk(t testing.TB, bytes int) (dir string) {
	t.Helper()
	Needs(t, "root")
	dir = t.TempDir()
	if err := unix.Mount("small", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", bytes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
