// Package logfile finds, orders and opens mail logs: files, compressed or not, the sets that logrotate(8) makes of them,
// and the journal; and it follows a log while it is written.
package logfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ehlogate/lists/lazyregexp"
)

// File is a log, or a part of one.
type File struct {
	Path   string
	Size   int64     // bytes, as they are stored
	Newest time.Time // no line is newer
	id     fileID
}

// Open opens the file. It is an error if another one has its name now: the log was rotated since Find, and what this name
// stood for may be missed.
func (f File) Open(ctx context.Context) (*Log, error) {
	l, err := Open(ctx, f.Path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(f.Path); err != nil || identify(info) != f.id {
		l.Close()
		return nil, &fs.PathError{Op: "read", Path: f.Path, Err: errors.New("the log was rotated meanwhile: run the command again")}
	}
	return l, nil
}

// Find returns the files that match the patterns (as in [filepath.Match]), the oldest part of each log first. A pattern that
// matches no file is an error, as is a file that cannot be one. A file that has several names is returned once, as is a part
// that is there compressed and as it was.
func Find(patterns []string) (files []File, err error) {
	families := map[string]int{} // by the order in which they appear
	var parts []part
	seen := map[fileID]bool{}
	for _, pattern := range patterns {
		paths, err := expand(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			info, err := os.Stat(path)
			switch {
			case err != nil:
				return nil, err
			case info.IsDir():
				return nil, fmt.Errorf("%s is a directory: name the files, such as %s", path, filepath.Join(path, "mail.log*"))
			case seen[identify(info)]:
				continue
			}
			seen[identify(info)] = true
			p := parsePart(path)
			p.file = File{path, info.Size(), info.ModTime(), identify(info)}
			if end := p.date.AddDate(0, 0, 2); !p.date.IsZero() && end.Before(info.ModTime()) { // a copy
				p.file.Newest = end
			}
			if _, known := families[p.family]; !known {
				families[p.family] = len(families)
			}
			parts = append(parts, p)
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int {
		return cmp.Or(cmp.Compare(families[a.family], families[b.family]), comparePart(a, b))
	})
	for _, p := range withoutCopies(parts) {
		files = append(files, p.file)
	}
	return files, nil
}

// fileID tells files apart, whatever their names.
type fileID struct{ device, inode uint64 }

func identify(info fs.FileInfo) fileID {
	st := info.Sys().(*syscall.Stat_t)
	return fileID{uint64(st.Dev), st.Ino}
}

// withoutCopies leaves out what compression made of a part that is there too: logrotate(8) removes the part last, and
// "gunzip -k" keeps both.
func withoutCopies(parts []part) []part {
	plain := map[string]bool{}
	for _, p := range parts {
		plain[p.file.Path] = true
	}
	return slices.DeleteFunc(parts, func(p part) bool {
		return isCompressed(p.file.Path) && plain[strings.TrimSuffix(p.file.Path, filepath.Ext(p.file.Path))]
	})
}

func expand(pattern string) ([]string, error) {
	if _, err := os.Lstat(pattern); err == nil {
		return []string{pattern}, nil
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	if len(paths) == 0 {
		return nil, &fs.PathError{Op: "open", Path: pattern, Err: errors.New("no such file")}
	}
	return paths, nil
}

// part is a file of a set: mail.log, mail.log.1, mail.log.2.gz; maillog-20261128, maillog-20261128.xz; mail.1.log if
// logrotate(8) keeps the extension; maillog.0.bz2 of newsyslog(8).
type part struct {
	file    File
	family  string    // the path without what rotation adds
	date    time.Time // of "dateext"; zero if there is none
	number  int       // the higher, the older
	rotated bool      // false: the log that is being written
}

// compressions are the ends of names that compression adds.
var compressions = []string{".gz", ".zst", ".xz", ".bz2"}

// rotated matches the path of a part: the log, the date with a time or the number, and the extension if it was kept.
var rotated = lazyregexp.New(`^(.+?)(?:[._-](\d{4})-?(\d\d)-?(\d\d)(?:[T_-]?\d{2,10}Z?)?|\.(\d{1,4}))?(\.log)?$`)

func parsePart(path string) part {
	for _, ext := range compressions {
		path = strings.TrimSuffix(path, ext)
	}
	m := rotated.FindStringSubmatch(path)
	if m == nil {
		return part{family: path}
	}
	p := part{family: m[1] + m[6], rotated: m[2] != "" || m[5] != ""}
	p.number, _ = strconv.Atoi(m[5])
	if m[2] != "" {
		date, err := time.Parse("20060102", m[2]+m[3]+m[4])
		if err != nil {
			return part{family: path}
		}
		p.date = date
	}
	return p
}

// comparePart compares parts of one log: the oldest first, the one that is being written last. Parts of one date are in the
// order of their names, which have the hour. Only the times of the files tell dates from numbers, which are both there after a
// change of the rotation.
func comparePart(a, b part) int {
	isCurrent := func(p part) int {
		if !p.rotated {
			return 1
		}
		return 0
	}
	if a.rotated && b.rotated && a.date.IsZero() != b.date.IsZero() {
		return a.file.Newest.Compare(b.file.Newest)
	}
	return cmp.Or(cmp.Compare(isCurrent(a), isCurrent(b)), a.date.Compare(b.date), cmp.Compare(b.number, a.number),
		cmp.Compare(a.file.Path, b.file.Path))
}
