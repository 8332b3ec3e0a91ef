package listfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// expand gives the files that patterns name, in the order of the patterns and
// by name within each, every file once.
//
// A pattern without wildcards names one file, which must be there. One with
// wildcards may name none, as a drop-in directory does at first. A directory
// that cannot be read is an error: what is in it is not known. Hidden files and
// directories are not taken unless the pattern says so: editors keep their own
// under such names.
func expand(patterns []string, io *Activity) ([]string, error) {
	var out []string
	seen := make(map[string]bool)
	for _, pattern := range patterns {
		names, err := glob(pattern, io)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// glob expands an absolute pattern, one part of the path after the other.
// filepath.Glob would keep silent about what it cannot read.
func glob(pattern string, io *Activity) ([]string, error) {
	parts := strings.Split(strings.TrimPrefix(filepath.Clean(pattern), "/"), "/")
	found, wild := []string{"/"}, false
	for i, part := range parts {
		var next []string
		plain, isPlain := unquote(part)
		for _, dir := range found {
			if isPlain {
				name := filepath.Join(dir, plain)
				if wild { // a name behind a wildcard may be in some directories only
					end := io.begin(name)
					_, err := os.Lstat(name)
					end()
					if isAbsent(err) {
						continue
					} else if err != nil {
						return nil, err
					}
				}
				next = append(next, name)
				continue
			}
			end := io.begin(dir)
			entries, err := os.ReadDir(dir) // sorted
			end()
			if wild && isAbsent(err) {
				continue // a file, or gone by now
			} else if err != nil {
				return nil, err
			}
			for _, e := range entries {
				ok, err := filepath.Match(part, e.Name())
				if err != nil {
					return nil, fmt.Errorf("%s: %w", pattern, err)
				}
				hidden := e.Name()[0] == '.' && part[0] != '.'
				if ok && !hidden && (i == len(parts)-1 || e.IsDir() || e.Type() == fs.ModeSymlink) {
					next = append(next, filepath.Join(dir, e.Name()))
				}
			}
		}
		found, wild = next, wild || !isPlain
	}
	return found, nil
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// unquote gives the name that a pattern without wildcards stands for.
func unquote(pattern string) (name string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[':
			return "", false
		case '\\':
			if i++; i == len(pattern) {
				return "", false // which filepath.Match calls a bad pattern
			}
		}
		b.WriteByte(pattern[i])
	}
	return b.String(), true
}

// EscapeGlob gives the pattern that names one file, whatever its name is made of.
func EscapeGlob(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// open opens a regular file for reading. It does not wait, as opening a named
// pipe would.
func open(name string, activity *Activity) (*watchedFile, fs.FileInfo, error) {
	defer activity.begin(name)()
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: name, Err: kindError(kindOf(info.Mode()))}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &watchedFile{f, activity}, info, nil
}

// ReadFile returns the content of a regular file of at most max bytes.
func ReadFile(name string, max int64) ([]byte, error) {
	f, _, err := open(name, nil)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(text)) > max {
		err = &fs.PathError{Op: "read", Path: name, Err: kindError(fmt.Sprintf("one of more than %d bytes", max))}
	}
	return text, err
}

// kindError says what a file is that is no regular one.
type kindError string

func (e kindError) Error() string { return "it is no regular file but " + string(e) }

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
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		p.Hint = "raise the limit of open files (systemd: LimitNOFILE=); it is tried again until it can be read"
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE):
		p.Hint = "see what the kernel says of its device or server (dmesg); it is tried again until it can be read"
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ENXIO):
		p.Hint = "put a regular file in its place, or correct files = [...]"
	case strings.HasSuffix(p.Msg, "a directory"):
		p.Hint = "for all lists in it write " + filepath.Join(p.File, "*.list")
	}
	return p
}
