package logs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ehlogate/lists/test/testenv"
)

// A file system that does not respond is shown, keeps no other log from being read, and does not delay the end.
func TestHungFileSystem(t *testing.T) {
	dir, release := testenv.HungDir(t)
	hung, good := filepath.Join(dir, "mail.log"), emptyLog(t)
	state := filepath.Join(t.TempDir(), "logs.json")
	r := start(t, Options{Files: []string{hung, good}, State: state})
	testenv.Eventually(t, "the log is open", func() bool { return r.position().Files[good] != nil })
	appendTo(t, good, "a line\n")
	r.awaitLines(good, 1)
	r.advance.Add(int64(hangTime))
	st := r.Status()
	if !st[0].IsDegraded() || st[0].Lag < hangTime.Seconds() || st[1].IsDegraded() {
		t.Errorf("got %+v", st)
	}
	begin := time.Now()
	r.stop()
	if took := time.Since(begin); took > stopTime+testenv.Soon/2 {
		t.Errorf("the end took %v", took)
	}
	release()
	testenv.Eventually(t, "nothing waits any more", func() bool { return goleak.Find() == nil })
	if _, err := os.Stat(state); err == nil {
		t.Error("the state file is written although another service may use it by now")
	}
}
