package filewatch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"ehlogate/lists/diag"
)

// ChangedError names a file that differs from the snapshot, or changed while it was read.
type ChangedError string

func (e ChangedError) Error() string { return string(e) + " changed while it was read" }

// ReadError is an error of the file system that is not about the content of a file, such as EMFILE, EIO, ESTALE or EACCES
// (errno(3)). It may go away by itself.
type ReadError struct{ diag.Problem }

// NewReadError returns the error err about a file as a ReadError, with a hint.
func NewReadError(name string, err error) error { return ReadError{newProblem(name, err)} }

func IsReadError(err error) bool { return errors.As(err, new(ReadError)) }

// IsContentError reports whether an error of the file system is about what is there, which stays until it is changed, and
// not about reading it.
func IsContentError(err error) bool {
	for _, e := range []error{syscall.ELOOP, syscall.ENAMETOOLONG, syscall.ENXIO, syscall.EISDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return isAbsent(err) || errors.As(err, new(contentError))
}

// classify returns an error of the file system as a diag.Problem or a ReadError.
func classify(name string, err error) error {
	if IsContentError(err) {
		return newProblem(name, err)
	}
	return NewReadError(name, err)
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// contentError is why a file cannot be a list.
type contentError string

func (e contentError) Error() string { return string(e) }

// checkRegular returns an error for a file that is not regular.
func checkRegular(info fs.FileInfo) error {
	kind := "device"
	switch m := info.Mode(); {
	case m.IsRegular():
		return nil
	case m.IsDir():
		kind = "directory"
	case m&fs.ModeNamedPipe != 0:
		kind = "named pipe"
	case m&fs.ModeSocket != 0:
		kind = "socket"
	}
	return contentError(fmt.Sprintf("not a regular file but a %s", kind))
}

func checkSize(size, limit int64) error {
	if size <= limit {
		return nil
	}
	return contentError(fmt.Sprintf("file is larger than %d bytes", limit))
}

// MissingHint is the hint about a missing file. A caller that knows more about the file may replace it.
const MissingHint = "create it (a comment alone makes an empty list), or correct its name in the config"

// noMatchError is a pattern that no file matches.
type noMatchError string

func (e noMatchError) Error() string { return "no file matches " + string(e) }

// NoMatchHint is the hint about a pattern that no file matches.
const NoMatchHint = "create one (a comment alone makes an empty list), or correct its name in the config"

// newProblem returns an error of the file system as a problem, with a hint.
func newProblem(name string, err error) diag.Problem {
	p := diag.Problem{File: name, Msg: err.Error()}
	switch err := err.(type) {
	case *fs.PathError:
		p.File, p.Msg = err.Path, err.Err.Error()
	case noMatchError:
		return diag.Problem{File: string(err), Msg: "no file matches this pattern", Hint: NoMatchHint}
	case ChangedError:
		return diag.Problem{File: string(err), Msg: "the file changed while it was read", Hint: "write a new file and rename it over the old one"}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Hint = MissingHint
	case errors.Is(err, fs.ErrPermission):
		p.Hint = "make it and its directories readable for the user that ehlogate runs as"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		p.Hint = "raise the limit of open files (systemd: LimitNOFILE=); ehlogate retries until it can be read"
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE):
		p.Hint = "look for errors of its device or server (dmesg); ehlogate retries until it can be read"
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ENXIO):
		p.Hint = "put a regular file in its place, or correct its name in the config"
	case strings.HasSuffix(p.Msg, "directory"):
		p.Hint = "for all lists in it write " + filepath.Join(p.File, "*.list")
	}
	return p
}
