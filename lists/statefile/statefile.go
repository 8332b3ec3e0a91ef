// Package statefile replaces the files that keep what a service knows across restarts.
package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

var errNotRegular = errors.New("not a regular file")

// Replace replaces the file at path, for its owner only. Whatever happens meanwhile, the file holds text or what it held
// before. No other process may write a file of that name.
func Replace(path string, text []byte) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return errNotRegular // such as /dev/null, which other programs need
	}
	removeDrafts(path)
	f, err := renameio.TempFile(filepath.Dir(path), path) // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }() // after an error; what went wrong was returned
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := f.CloseAtomicallyReplace(); err != nil { // which calls fsync first
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // renameio does not sync the directory
		_ = dir.Sync() // not every file system can
		dir.Close()
	}
	return nil
}

// removeDrafts removes what renameio leaves beside path when the daemon is killed while it writes.
func removeDrafts(path string) {
	dir, prefix := filepath.Dir(path), "."+filepath.Base(path)
	entries, _ := os.ReadDir(dir) // if it fails, so will what follows
	for _, e := range entries {
		if number, ok := strings.CutPrefix(e.Name(), prefix); ok && number != "" && strings.Trim(number, "0123456789") == "" {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
