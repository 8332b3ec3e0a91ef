package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// replaceFile writes a file so that readers see the whole old text or the whole new one. The new file keeps the mode
// and owner of the old one; a file that did not exist is readable by all users. A symbolic link is followed. What is no
// regular file, such as /dev/stdout, is written to in place. modTime is the modification time of the new file; the zero
// time means now.
func replaceFile(name string, data []byte, modTime time.Time) error {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	old, err := os.Stat(name)
	switch {
	case err != nil:
		old = nil // the directory has the last word
	case old.IsDir():
		return fmt.Errorf("%s is a directory", name)
	case !old.Mode().IsRegular():
		return writeInPlace(name, data)
	}
	f, err := renameio.NewPendingFile(name, renameio.WithTempDir(filepath.Dir(name)),
		renameio.WithPermissions(0o644), renameio.IgnoreUmask(), renameio.WithExistingPermissions())
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	defer func() { _ = f.Cleanup() }() // after an error; what went wrong was returned
	if _, err := f.Write(data); err != nil {
		return err
	}
	if old != nil {
		owner := old.Sys().(*syscall.Stat_t)
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if !modTime.IsZero() {
		if err := os.Chtimes(f.Name(), modTime, modTime); err != nil {
			return err
		}
	}
	return f.CloseAtomicallyReplace() // which calls fsync first
}

func writeInPlace(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
