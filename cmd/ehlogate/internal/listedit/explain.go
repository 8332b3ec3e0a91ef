package listedit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoFile means that the name of the journal has something that is no file.
var errNoFile = errors.New("not a regular file")

// explainJournal adds what to do about a journal that cannot be opened.
func explainJournal(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: make the directory, or write another path into [edits] journal of the config, or \"\" for no journal", err)
	case errors.Is(err, errNoFile), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: the journal must be a file, no directory, link or pipe: remove it, or write another path into [edits] journal of the config", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this with sudo, or name a journal that you may write to in [edits] of the config", err)
	}
	return err
}

// advices are what to do about errors of the system.
var advices = []struct {
	err  error
	what string
}{
	{unix.EROFS, "the file system is read-only: mount it for writing"},
	{unix.ENOSPC, "the disk is full: make room, and run this again"},
	{unix.EDQUOT, "the quota of the user is used up: make room, and run this again"},
	{unix.EBUSY, "the file is a mount of its own, as of a container, and cannot be replaced: mount its directory instead"},
	{unix.EPERM, "the system does not allow it: as root, see if the file or its directory is immutable (lsattr -d), and end that with chattr -i"},
}

// explainAccess adds what to do about a list file that may not be read or written, or is not there.
func explainAccess(err error) error {
	for _, a := range advices {
		if errors.Is(err, a.err) && !saysWhatToDo(err) {
			return fmt.Errorf("%w: %s", err, a.what)
		}
	}
	var path *fs.PathError
	switch {
	case !errors.As(err, &path) || saysWhatToDo(err):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this with sudo, or as the owner of the list and its directory", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: create it, with a comment in it: echo '# a list of ehlogate' >%s", err, path.Path)
	}
	return err
}

// saysWhatToDo reports whether an error has advice already, as that of the journal.
func saysWhatToDo(err error) bool {
	return strings.Contains(err.Error(), "run this") || strings.Contains(err.Error(), "make the directory")
}
