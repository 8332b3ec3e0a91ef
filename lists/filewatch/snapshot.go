package filewatch

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"syscall"
	"time"
)

// Snapshot is the state of the files of a list at one moment: which files there are, and a stamp of each. Lists that are
// read from equal snapshots are equal. The zero value is the snapshot of a list that was never read.
type Snapshot struct {
	names  []string // in the order in which they are read
	stamps map[string]stamp
	err    error // why the names are not known
}

// StatFiles returns the present state of the files that patterns match: absolute paths or globs (filepath.Match). It does
// not open them.
func StatFiles(patterns []string, activity *Activity) Snapshot {
	names, err := expand(patterns, activity)
	s := Snapshot{names: names, stamps: make(map[string]stamp), err: err}
	for _, name := range names {
		end := activity.begin("stat", name)
		info, err := os.Stat(name)
		end()
		switch {
		case err == nil:
			s.stamps[name] = stampOf(info)
		case isAbsent(err):
			s.stamps[name] = stamp{missing: true}
		default:
			s.stamps[name] = stamp{unreachable: true}
		}
	}
	return s
}

// Names returns the files in the order in which they are read.
func (s Snapshot) Names() []string { return s.names }

// Err returns why it is not known which files there are: a [ReadError], or a diag.Problem such as a missing directory;
// nil: it is known.
func (s Snapshot) Err() error {
	switch {
	case s.err == nil:
		return nil
	case isAbsent(s.err), errors.As(s.err, new(noMatchError)):
		return newProblem("", s.err)
	}
	return NewReadError("", s.err)
}

func (s Snapshot) Equal(o Snapshot) bool {
	return errText(s.err) == errText(o.err) && (s.stamps == nil) == (o.stamps == nil) && maps.Equal(s.stamps, o.stamps)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TotalSize returns how many bytes the files have together.
func (s Snapshot) TotalSize() (n int64) {
	for _, st := range s.stamps {
		n += st.size
	}
	return n
}

// LastWritten returns the latest mtime of the files that is not after a time; zero if there are none.
func (s Snapshot) LastWritten(until time.Time) (last time.Time) {
	for _, st := range s.stamps {
		if t := time.Unix(0, st.mtime); !st.missing && !st.unreachable && t.After(last) && !t.After(until) {
			last = t
		}
	}
	return last
}

// ContentSince returns since when the content of each file is as it is: since its mtime; but if that is in the future,
// since its ctime, which cannot be set, and at the latest since it was first read. before is the snapshot of the last
// read, and since what ContentSince returned for it.
func (s Snapshot) ContentSince(before Snapshot, since map[string]time.Time, now time.Time) map[string]time.Time {
	out := make(map[string]time.Time)
	for name, st := range s.stamps {
		if st.missing {
			continue
		}
		at := now
		if old, ok := before.stamps[name]; ok && old.content == st.content && !since[name].IsZero() {
			at = since[name]
		}
		for _, ns := range []int64{st.mtime, st.ctime} {
			if t := time.Unix(0, ns); t.Before(at) {
				at = t
			}
		}
		out[name] = at
	}
	return out
}

// stamp tells one state of a file from another without reading it.
type stamp struct {
	content
	ctime                int64 // Unix nanoseconds
	missing, unreachable bool
}

// content is the part of a stamp that changes when the content does. ctime also changes with owner, mode and links.
type content struct {
	dev, ino    uint64
	size, mtime int64 // mtime in Unix nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	st := info.Sys().(*syscall.Stat_t)
	modified, changed := timesOf(st)
	return stamp{content: content{dev: uint64(st.Dev), ino: uint64(st.Ino), size: st.Size, mtime: modified.Nano()}, ctime: changed.Nano()}
}

// grewFrom reports whether something may have been appended to the file since it was as in old.
func (c content) grewFrom(old content) bool {
	return c.dev == old.dev && c.ino == old.ino && c.size >= old.size
}

// clockTick bounds the resolution of file times: two writes within it may leave the same stamp.
const clockTick = 20 * time.Millisecond

// WithoutRacy returns s for a caller that reads the files at now or later, to compare with later snapshots. The stamp of
// a file that changed within the same tick equals no other: the file may change once more without a trace.
func (s Snapshot) WithoutRacy(now time.Time) Snapshot {
	s.stamps = maps.Clone(s.stamps)
	for name, st := range s.stamps {
		if st.ctime > now.Add(-clockTick).UnixNano() && st.ctime <= now.Add(clockTick).UnixNano() {
			st.ctime = -1
			s.stamps[name] = st
		}
	}
	return s
}
