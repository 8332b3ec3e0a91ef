package replace

import (
	"errors"
	"fmt"
	"io/fs"
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

// Draft is a new text of a file, on disk as a whole, that has not taken its place yet. Until it does, or is dropped, other
// processes that replace the file wait.
type Draft struct {
	*os.File
	of          File
	isCommitted bool
}

// Prepare writes the draft of a file, as [File.Replace] describes it.
func (f File) Prepare(text Text, modTime time.Time) (*Draft, error) {
	file, err := openDraft(f.Path)
	if err != nil {
		return nil, err
	}
	d := &Draft{File: file, of: f}
	if err := d.complete(text, modTime); err != nil {
		d.Drop()
		return nil, err
	}
	return d, nil
}

func (d *Draft) complete(text Text, modTime time.Time) error {
	if err := text(d); err != nil {
		return err
	}
	if err := d.of.setAttributes(d.File); err != nil {
		return fmt.Errorf("cannot keep owner and permissions: %w: run this as root, or as the owner of the file", err)
	}
	if !modTime.IsZero() {
		if err := SetModTime(d.File, modTime); err != nil {
			return err
		}
	}
	return d.Sync()
}

// Check fails with ErrChanged if the file is not as it was found.
func (d *Draft) Check() error {
	if !d.of.isUnchanged() {
		return ErrChanged
	}
	return nil
}

// Commit has the draft take the place of the file.
func (d *Draft) Commit() error {
	if err := os.Rename(d.Name(), d.of.Path); err != nil {
		return err
	}
	d.isCommitted = true
	syncDir(d.of.Path)
	return nil
}

// Drop closes the draft, and removes it if it was not committed.
func (d *Draft) Drop() {
	if !d.isCommitted {
		os.Remove(d.Name()) // before Close, which ends the lock
	}
	d.Close()
}

// openDraft opens the file that is to take the place of the one at path: empty, locked, and with no access for other
// users. Its name is always the same. So it is the lock as well, and what a killed process left is used again.
func openDraft(path string) (*os.File, error) {
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	for end := time.Now().Add(lockTimeout); ; time.Sleep(lockPause) {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if errors.Is(err, unix.EACCES) && isOfOther(name) && time.Now().Before(end) {
			continue // a draft in use, as a rule
		}
		if err != nil {
			return nil, explainObstacle(name, err)
		}
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil && IsAt(f, name) {
			if err := emptyDraft(f, path); err != nil {
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

// emptyDraft empties what a killed process left. A file of another user, or with another name, is no draft, unless the user
// is the owner of the file to replace: the process was killed after it had made that one the owner.
func emptyDraft(f *os.File, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	var replaced unix.Stat_t
	isOwn := int(st.Uid) == os.Geteuid() || unix.Stat(path, &replaced) == nil && st.Uid == replaced.Uid
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return obstacleError(f.Name(), "a pipe or a device")
	case !isOwn:
		return obstacleError(f.Name(), fmt.Sprintf("a file of the user with ID %d", st.Uid))
	case st.Nlink != 1:
		return obstacleError(f.Name(), "a file with several names (hard links)")
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	return f.Chmod(0o600)
}

// isOfOther reports whether there is a regular file with that name that belongs to another user.
func isOfOther(name string) bool {
	var st unix.Stat_t
	return unix.Lstat(name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && int(st.Uid) != os.Geteuid()
}

// explainObstacle returns why a draft cannot be opened: where something else has its name, what that is.
func explainObstacle(name string, err error) error {
	info, failed := os.Lstat(name)
	if failed != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		target, _ := os.Readlink(name)
		return obstacleError(name, "a symbolic link to "+target)
	case fs.ModeDir:
		return obstacleError(name, "a directory")
	case fs.ModeSocket:
		return obstacleError(name, "a socket")
	}
	return err
}

func obstacleError(name, what string) error {
	return fmt.Errorf("%s is %s, where a new file must be written before it takes the place of the old one: remove it", name, what)
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
