// Package replace replaces a file in one step: readers see the whole old text or the whole new one, also if the
// process is killed, the disk is full, or two processes replace the file at once.
package replace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrChanged means that another process has changed the file since [Find]: the new text may be made from an old one.
var ErrChanged = errors.New("changed by another process meanwhile")

// defaultMode is the mode of a file that did not exist: all users may read it.
const defaultMode = 0o644

// File is a file to replace, as it was when it was found.
type File struct {
	Path string      // behind symbolic links
	Info os.FileInfo // nil: there is none
}

// Find returns the file with that name, which need not exist. Symbolic links are followed.
func Find(name string) (File, error) {
	switch info, err := os.Stat(name); {
	case errors.Is(err, fs.ErrNotExist):
		return File{Path: followLinks(name)}, nil
	case err != nil:
		return File{}, err
	case info.IsDir():
		return File{}, fmt.Errorf("%s is a directory: name a file in it", name)
	case info.Mode().IsRegular():
		return File{Path: followLinks(name), Info: info}, nil
	default:
		return File{Path: name, Info: info}, nil // such as /dev/stdout: its link leads to no name
	}
}

// maxLinks is how many links Linux follows.
const maxLinks = 40

// followLinks returns where the last of the symbolic links leads, even if nothing is there yet.
func followLinks(name string) string {
	for range maxLinks {
		target, err := os.Readlink(name)
		if err != nil {
			break // no link
		}
		if !filepath.IsAbs(target) {
			target = filepath.Dir(name) + "/" + target // not Join: ".." leaves the target of a linked directory
		}
		name = target
	}
	return name
}

// IsRegular reports whether the file can be replaced. It is false for what can only be written to, such as a pipe.
func (f File) IsRegular() bool { return f.Info == nil || f.Info.Mode().IsRegular() }

// WriteTo writes to what is no regular file.
func (f File) WriteTo(text Text) error {
	out, err := os.OpenFile(f.Path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(text(out), out.Close())
}

// Replace replaces the file, and returns the new one, which the caller closes. It keeps owner, mode, access list and
// labels. modTime is its modification time; the zero time means now. After an error the file is as it was.
func (f File) Replace(text Text, modTime time.Time) (*os.File, error) {
	d, err := f.Prepare(text, modTime)
	if err != nil {
		return nil, err
	}
	if err = d.Check(); err == nil {
		err = d.Commit()
	}
	if err != nil {
		d.Drop()
		return nil, err
	}
	return d.File, nil
}

// isUnchanged reports whether the file is as it was found. No other process replaces it while the draft is locked, but an
// editor may write to it.
func (f File) isUnchanged() bool {
	now, err := os.Stat(f.Path)
	if f.Info == nil || err != nil {
		return f.Info == nil && errors.Is(err, fs.ErrNotExist)
	}
	return os.SameFile(f.Info, now) && f.Info.Size() == now.Size() && f.Info.ModTime().Equal(now.ModTime())
}

func (f File) setAttributes(draft *os.File) error {
	if f.Info == nil {
		return draft.Chmod(defaultMode)
	}
	old, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer old.Close()
	return copyAttributes(draft, old)
}

// syncDir has the names in the directory of a file survive a power failure, if the file system can do that.
func syncDir(path string) {
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		dir.Close()
	}
}
