package replace

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockTimeout is how long to wait for another process that replaces the same file.
	lockTimeout = 10 * time.Second
	// lockPause is the time between two attempts.
	lockPause = 10 * time.Millisecond
)

// openDraft opens the file that is to take the place of the one at path: empty, locked, and with no access for other
// users. Its name is always the same. So it is the lock as well, and what a killed process left is used again.
func openDraft(path string) (*os.File, error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	for end := time.Now().Add(lockTimeout); ; time.Sleep(lockPause) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil && IsAt(f, name) {
			if err := emptyDraft(f); err != nil {
				f.Close()
				return nil, err
			}
			return f, nil
		}
		f.Close()
		switch {
		case err != nil && !errors.Is(err, unix.EWOULDBLOCK):
			return nil, fmt.Errorf("cannot lock %s: %w", name, err)
		case time.Now().After(end):
			return nil, fmt.Errorf("%s: locked by another process for %s: try again", name, lockTimeout)
		}
	}
}

// emptyDraft empties what a killed process left. A file of another user, or with another name, is no draft.
func emptyDraft(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is in the way, and belongs to another user or has several names: remove it", f.Name())
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	return f.Chmod(0o600)
}

// IsAt reports whether the open file is still the one with that name.
func IsAt(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(open, there)
}
