// Package edit changes list files for an operator, as a careful operator would: the file is locked and checked, and
// replaced as a whole. Its other lines, owner, permissions and links stay as they are.
package edit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/cmd/ehlogate/internal/replace"
	"ehlogate/lists/listfile"
)

const (
	// lockTimeout is how long to wait for another command that changes the file.
	lockTimeout = 10 * time.Second
	// lockPause is the time between two attempts.
	lockPause = 10 * time.Millisecond
)

// Append adds a line, without its end, to the end of a list file, which must exist and obey rules, as it must with the line.
func Append(path string, rules listfile.Rules, line string) error {
	return Change(path, rules, func(text []byte) ([]byte, error) { return AppendLine(text, line), nil })
}

// AppendLine returns a text with one more line, which ends as the others do.
func AppendLine(text []byte, line string) []byte {
	end := "\n"
	if bytes.HasSuffix(text, []byte("\r\n")) {
		end = "\r\n"
	}
	return append(append(text, line...), end...)
}

// Change replaces the text of a list file by what change makes of it. Both must obey rules. Whatever happens meanwhile, the
// file has the old text or the new one.
func Change(path string, rules listfile.Rules, change func(text []byte) ([]byte, error)) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	f, err := lockFile(target)
	if err != nil {
		return err
	}
	defer f.Close() // ends the lock
	before, err := f.Stat()
	if err != nil {
		return err
	}
	old, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := checkText(path, rules, old); err != nil {
		return fmt.Errorf("nothing was changed, since the file has errors already:\n%w", err)
	}
	text, err := change(bytes.Clone(old))
	if err != nil || bytes.Equal(text, old) {
		return err
	}
	if err := checkText(path, rules, text); err != nil {
		return fmt.Errorf("nothing was changed:\n%w", err)
	}
	return replaceFile(target, before, text)
}

// checkText reads a list as the daemon would.
func checkText(path string, rules listfile.Rules, text []byte) error {
	return listfile.Parse(bytes.NewReader(text), path, rules, func(*listfile.Item) error { return nil })
}

// lockFile opens the file at path and waits until no other command changes it.
func lockFile(path string) (*os.File, error) {
	for end := time.Now().Add(lockTimeout); ; time.Sleep(lockPause) {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a named pipe would wait for a writer
		if err != nil {
			return nil, err
		}
		err = checkKind(f)
		if err == nil {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err == nil && isAt(f, path) {
			return f, nil // and another command has not replaced it meanwhile
		}
		f.Close()
		switch {
		case err != nil && !errors.Is(err, unix.EWOULDBLOCK):
			return nil, err
		case time.Now().After(end):
			return nil, fmt.Errorf("%s: locked by another process for %s: try again", path, lockTimeout)
		}
	}
}

// checkKind refuses what cannot be replaced without harm.
func checkKind(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s: not a regular file", f.Name())
	case st.Nlink > 1:
		return fmt.Errorf("%s: the file has %d names (hard links), which would no longer be one file: edit it by hand", f.Name(), st.Nlink)
	}
	return nil
}

// isAt reports whether the open file is still the one at path.
func isAt(f *os.File, path string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(open, there)
}

// replaceFile replaces the file at path, which is locked, by text.
func replaceFile(path string, before os.FileInfo, text []byte) error {
	f, err := replace.File{Path: path, Info: before}.Replace(replace.Bytes(text), time.Time{})
	switch {
	case errors.Is(err, replace.ErrChanged):
		return fmt.Errorf("%s: the file was changed meanwhile, by an editor: try again", path)
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}
