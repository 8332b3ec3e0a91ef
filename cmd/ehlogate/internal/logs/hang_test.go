package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/lists/test/testenv"
)

// hungDir returns a directory on a file system that does not respond until the test ends: FUSE without a server.
func hungDir(t *testing.T) string {
	t.Helper()
	testenv.Needs(t, "root")
	dir := t.TempDir()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("hung", dir, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)); err != nil {
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

// A file system that does not respond is shown, keeps no other log from being read, and does not delay the end.
func TestHungFileSystem(t *testing.T) {
	hung, good := filepath.Join(hungDir(t), "mail.log"), emptyLog(t)
	state := filepath.Join(t.TempDir(), "logs.json")
	r := start(t, Options{Files: []string{hung, good}, State: state})
	testenv.Eventually(t, "the log is open", func() bool { return r.positions()[good] != nil })
	appendTo(t, good, "a line\n")
	r.awaitLines(good, 1)
	r.advance.Add(int64(hangTime))
	st := r.Status()
	if !st[0].IsDegraded() || st[0].Lag < hangTime.Seconds() || st[1].IsDegraded() {
		t.Errorf("got %+v", st)
	}
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > stopTime+time.Second {
		t.Errorf("the end took %v", took)
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state file is written although another service may use it by now")
	}
}
