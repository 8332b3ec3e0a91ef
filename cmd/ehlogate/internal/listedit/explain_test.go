package listedit

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReason checks that a reason is as long as a line has room for.
func TestReason(t *testing.T) {
	e, _, _ := newEditor(t, "198.51.100.1\n")
	longest := strings.Repeat("x", maxReason)
	if err := CheckReason(longest + "x"); err == nil {
		t.Error("a longer reason is accepted")
	}
	must(t, CheckReason(longest))
	_, err := e.PlanAdd("deny", strings.Repeat("label.", 40)+"example", "until=2099-01-01", longest)
	must(t, err)
}

// TestAdvice checks what an operator is told about errors of the system, which package replace returns in several types.
func TestAdvice(t *testing.T) {
	for err, want := range map[error]string{
		&os.LinkError{Op: "rename", Old: "a", New: "b", Err: unix.EBUSY}:                           "mount its directory instead",
		&fs.PathError{Op: "open", Path: "a", Err: unix.EROFS}:                                      "mount it for writing",
		fmt.Errorf("not noted: %w", &fs.PathError{Op: "write", Path: "a", Err: unix.ENOSPC}):       "make room",
		&fs.PathError{Op: "write", Path: "a", Err: unix.EDQUOT}:                                    "make room",
		&os.LinkError{Op: "rename", Old: "a", New: "b", Err: unix.EPERM}:                           "chattr -i",
		&fs.PathError{Op: "open", Path: "a", Err: unix.EACCES}:                                     "run this with sudo",
		fmt.Errorf("%w: run this as root", &fs.PathError{Op: "chown", Path: "a", Err: unix.EPERM}): "run this as root",
	} {
		if got := explainAccess(err).Error(); !strings.HasPrefix(got, err.Error()) || !strings.Contains(got, want) {
			t.Errorf("%v: %s, want %q", err, got, want)
		}
	}
}
