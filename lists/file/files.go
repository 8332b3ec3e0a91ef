package file

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

// expand gives the files that patterns name, in the order of the patterns and
// by name within each, every file once.
//
// A pattern without wildcards names one file, which must be there. One with
// wildcards may name none, as a drop-in directory does at first, but the
// directory it looks into must be there. Hidden files are not taken unless
// the pattern says so: editors keep their own under such names.
func expand(patterns []string) ([]string, error) {
	var out []string
	seen := make(map[string]bool)
	for _, pattern := range patterns {
		names := []string{pattern}
		if hasMeta(pattern) {
			if _, err := os.ReadDir(fixedDir(pattern)); err != nil {
				return nil, err
			}
			var err error
			if names, err = filepath.Glob(pattern); err != nil {
				return nil, fmt.Errorf("%s: %w", pattern, err)
			}
			sort.Strings(names)
		}
		for _, name := range names {
			hidden := strings.HasPrefix(filepath.Base(name), ".") && !strings.HasPrefix(filepath.Base(pattern), ".")
			if !seen[name] && !(hidden && hasMeta(pattern)) {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out, nil
}

func hasMeta(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// fixedDir is the deepest directory of pattern above any wildcard.
func fixedDir(pattern string) string {
	dir := filepath.Dir(pattern)
	for hasMeta(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

// open opens a regular file for reading. It does not wait, as opening a named
// pipe would.
func open(name string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it is no regular file but %s", kindOf(info.Mode()))}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// fileProblem puts an error of the file system into a Problem.
func fileProblem(name string, err error) Problem {
	p := Problem{File: name, Msg: err.Error()}
	if pe, ok := err.(*fs.PathError); ok {
		p.File, p.Msg = pe.Path, pe.Err.Error()
	}
	switch {
	case os.IsNotExist(err):
		p.Hint = "create it (a comment alone makes an empty list), or correct files = [...]"
	case os.IsPermission(err):
		p.Hint = "make it and the directories above it readable for the user that ehlogate runs as"
	case strings.HasSuffix(p.Msg, "a directory"):
		p.Hint = "for all lists in it write " + filepath.Join(p.File, "*.list")
	}
	return p
}

// stamp tells one state of a file from another without reading it.
type stamp struct {
	dev, ino, size       uint64
	mtime, ctime         int64
	missing, unreachable bool
}

func stampOf(info fs.FileInfo) stamp {
	st := info.Sys().(*syscall.Stat_t)
	return stamp{dev: uint64(st.Dev), ino: st.Ino, size: uint64(st.Size),
		mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano()}
}

// stamps gives the state of all files that patterns name now.
func stamps(patterns []string) map[string]stamp {
	out := make(map[string]stamp)
	names, err := expand(patterns)
	if err != nil {
		return map[string]stamp{"": {unreachable: true}}
	}
	for _, name := range names {
		info, err := os.Stat(name)
		switch {
		case err == nil:
			out[name] = stampOf(info)
		case os.IsNotExist(err):
			out[name] = stamp{missing: true}
		default:
			out[name] = stamp{unreachable: true}
		}
	}
	return out
}
