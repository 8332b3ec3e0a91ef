package replace

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Locked is a regular file that no other process replaces through this package until Unlock.
type Locked struct {
	File
	draft *Draft // which is the lock
}

// Lock waits until no other process replaces the file with that name, which must exist. Symbolic links are followed. It
// refuses what cannot be replaced without harm: a file with several names would be one file no longer.
func Lock(name string) (*Locked, error) {
	target, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, err
	}
	if err := checkKind(target); err != nil { // before a draft is made beside it
		return nil, err
	}
	file, err := openDraft(target)
	if err != nil {
		return nil, err
	}
	l := &Locked{File: File{Path: target}, draft: &Draft{File: file, of: File{Path: target}}}
	if l.Info, err = os.Stat(target); err == nil {
		err = checkKind(target)
	}
	if err != nil {
		l.Unlock()
		return nil, err
	}
	return l, nil
}

// checkKind refuses what cannot be replaced without harm.
func checkKind(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s: not a regular file", path)
	case st.Nlink > 1:
		return fmt.Errorf("%s: the file has %d names (hard links), which would no longer be one file: edit it by hand", path, st.Nlink)
	}
	return nil
}

// Read returns the text of the file as it is now.
func (l *Locked) Read() ([]byte, error) {
	f, err := os.OpenFile(l.Path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a named pipe would wait for a writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if l.Info, err = f.Stat(); err != nil {
		return nil, err
	}
	return io.ReadAll(f)
}

// Replace replaces the file, once. After an error it is as it was.
func (l *Locked) Replace(text Text) error {
	l.draft.of = l.File
	if err := l.draft.complete(text, time.Time{}); err != nil {
		return err
	}
	if err := l.draft.Check(); err != nil {
		return err
	}
	return l.draft.Commit()
}

// Unlock ends the lock, and is to be called in any case.
func (l *Locked) Unlock() { l.draft.Drop() }
