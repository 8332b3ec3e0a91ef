package listfile

import (
	"io/fs"
	"maps"
	"os"
	"syscall"
	"time"
)

// Snapshot is the state of the files of a list at one moment: which files there
// are, and a stamp of each. Lists read from equal states are equal. The zero
// value is the state of a list that was never read.
type Snapshot struct {
	names  []string // in the order in which they are read
	stamps map[string]stamp
	err    error // why the names are not known
}

// StatFiles returns the state of the files that patterns name now. It reads no file.
// io, which may be nil, shows whether the file system hangs.
func StatFiles(patterns []string, io *Activity) Snapshot {
	names, err := expand(patterns, io)
	f := Snapshot{names: names, stamps: make(map[string]stamp), err: err}
	for _, name := range names {
		end := io.begin(name)
		info, err := os.Stat(name)
		end()
		switch {
		case err == nil:
			f.stamps[name] = stampOf(info)
		case isAbsent(err):
			f.stamps[name] = stamp{missing: true}
		default:
			f.stamps[name] = stamp{unreachable: true}
		}
	}
	return f
}

// Equal reports whether f and o are the same state.
func (f Snapshot) Equal(o Snapshot) bool {
	return errText(f.err) == errText(o.err) && (f.stamps == nil) == (o.stamps == nil) && maps.Equal(f.stamps, o.stamps)
}

// Err is why it is not known which files there are, although their directory
// may well exist: the file system did not answer. nil: it is known.
func (f Snapshot) Err() error {
	if f.err != nil && !isAbsent(f.err) {
		return fileProblem("", f.err)
	}
	return nil
}

// Size is how many bytes the files have together.
func (f Snapshot) Size() (n int64) {
	for _, st := range f.stamps {
		n += int64(st.size)
	}
	return n
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// stamp tells one state of a file from another without reading it.
type stamp struct {
	content
	ctime                int64 // Unix nanoseconds
	missing, unreachable bool
}

// content is the part of a stamp that changes when the content does; ctime
// changes also with owner, mode and links.
type content struct {
	dev, ino, size uint64
	mtime          int64 // Unix nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	st := info.Sys().(*syscall.Stat_t)
	return stamp{content: content{dev: uint64(st.Dev), ino: st.Ino, size: uint64(st.Size), mtime: st.Mtim.Nano()}, ctime: st.Ctim.Nano()}
}

// grew reports whether a file with the content c may be one with the content old
// to which something was appended.
func (c content) grew(old content) bool {
	return c.dev == old.dev && c.ino == old.ino && c.size >= old.size
}

// clockTick bounds the resolution of a file's times: two writes within it may
// leave the same stamp.
const clockTick = 20 * time.Millisecond

// written returns f as it is to be remembered by a reader that began at the
// time now: a file that changed within the same tick may change once more
// without a trace, so its stamp must equal no other.
func (f Snapshot) written(now time.Time) Snapshot {
	out := f
	out.stamps = maps.Clone(f.stamps)
	for name, st := range out.stamps {
		if st.ctime > now.Add(-clockTick).UnixNano() && st.ctime <= now.Add(clockTick).UnixNano() {
			st.ctime = -1
			out.stamps[name] = st
		}
	}
	return out
}
