package learnstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

const (
	// lockTime is how long Open waits for another process.
	lockTime  = time.Second
	lockRetry = 20 * time.Millisecond
	// maxAside is how many old files are kept.
	maxAside    = 3
	asideSuffix = ".broken-"
	asideTime   = "20060102T150405.000000000Z"
)

// unusable is an error of the content of a file.
type unusable struct {
	error
	file os.FileInfo // nil: not known yet
}

func (u unusable) Unwrap() error { return u.error }

// Open opens the store in a file, for its owner only, and makes it if there is none. A file whose content cannot be used,
// since it is corrupt, of a newer version or of another program, is renamed, and the store is empty. Other errors, such as
// ErrLocked or a lack of permission, leave the file as it is.
func Open(path string, clock func() time.Time) (*Store, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	status := Status{Path: path}
	for {
		s, err := openUsable(path)
		var content unusable
		switch {
		case err == nil:
			s.status.Path, s.status.Aside, s.status.Reason = path, status.Aside, status.Reason
			return s, nil
		case errors.Is(err, errReplaced):
			continue
		case !errors.As(err, &content) || status.Aside != "":
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		to := path + asideSuffix + clock().UTC().Format(asideTime)
		switch moved, err := moveAside(path, to, content.file); {
		case err != nil:
			return nil, fmt.Errorf("%s: cannot be used (%w), and cannot be renamed: %w", path, content.error, err)
		case moved:
			status.Aside, status.Reason = to, content.error
		}
	}
}

// errReplaced means that the file was replaced while it was opened.
var errReplaced = errors.New("the file was replaced")

// lockFile opens a file and locks it. From then on no other process replaces it that locks it too.
func lockFile(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockTime); ; time.Sleep(lockRetry) {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK || time.Now().After(deadline) {
			break
		}
	}
	if err == unix.EWOULDBLOCK {
		err = ErrLocked
	}
	if err == nil {
		err = checkInPlace(path, file)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// checkInPlace returns errReplaced if the file is not the one at path.
func checkInPlace(path string, file *os.File) error {
	opened, err := file.Stat()
	if err != nil {
		return err
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(opened, now) {
		return errReplaced
	}
	return err
}

// openUsable opens the store in a file. An error of type unusable is one of its content.
func openUsable(path string) (*Store, error) {
	file, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	s, err := openLocked(path, file)
	if u := (unusable{}); errors.As(err, &u) {
		err = unusable{u.error, info}
	}
	if err == nil {
		syncDirectory(path)
	}
	return s, err
}

// openLocked opens the store in a file that is locked. It closes the file if it cannot.
func openLocked(path string, file *os.File) (*Store, error) {
	used, err := checkFile(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	s, err := openDatabase(path, file)
	if err != nil {
		return nil, err
	}
	if err = recoverFaults(func() error { return s.db.View(checkContent) }); err != nil {
		err = unusable{error: err}
	} else if err = recoverFaults(func() error { return s.db.Update(markNew) }); err == nil {
		err = s.compact(path, used)
	}
	if err != nil {
		s.discard(err)
		return nil, err
	}
	return s, nil
}

// discard closes a store that is of no use because of an error.
func (s *Store) discard(err error) {
	if errors.Is(err, ErrBroken) {
		_ = closeBroken(s.file)
		return
	}
	_ = s.db.Close()
}

// openDatabase has bbolt open a file that is locked. It closes the file if it cannot.
func openDatabase(path string, file *os.File) (*Store, error) {
	s := &Store{file: file}
	err := recoverFaults(func() (err error) {
		s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTime,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil }})
		return err
	})
	if err == nil {
		return s, nil
	}
	file.Close()
	for _, content := range []error{ErrBroken, bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum} {
		if errors.Is(err, content) {
			return nil, unusable{error: err}
		}
	}
	return nil, err
}

// moveAside renames a file that cannot be used, and keeps the last of those that were renamed so. It reports false if another
// process did it.
func moveAside(path, to string, judged os.FileInfo) (moved bool, err error) {
	file, err := lockFile(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !os.SameFile(info, judged) {
		return false, err
	}
	if err := os.Rename(path, to); err != nil {
		return false, err
	}
	syncDirectory(path)
	removeOldest(path + asideSuffix)
	return true, nil
}

// removeOldest removes all but the last files whose paths have a prefix. What cannot be removed stays.
func removeOldest(prefix string) {
	entries, _ := os.ReadDir(filepath.Dir(prefix)) // by name, so by time
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), filepath.Base(prefix)) })
	for _, e := range entries[:max(0, len(entries)-maxAside)] {
		os.Remove(filepath.Join(filepath.Dir(prefix), e.Name()))
	}
}

func syncDirectory(path string) {
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync() // not every file system can
		dir.Close()
	}
}
