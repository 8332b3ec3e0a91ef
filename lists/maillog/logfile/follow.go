package logfile

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"time"
)

const (
	// readSize is how much is read at once, and how much of a line is kept.
	readSize = 256 << 10
	// lateTime is how long a part that was rotated must not grow until it is over. A program writes to the old file until it
	// is told about the new one, and some have several processes.
	lateTime = time.Minute
	// maxParts bounds the open files.
	maxParts = 16
)

// Follower reads a log while it is written, through rotation: a rename, a copy that is truncated, or a new file. It looks
// at the file with stat(2), so that it works on every file system. It is not safe for concurrent use.
//
// Lines are handed out once, in the order in which they were written. What comes after the first readSize bytes of a line
// may be left out. Lines are lost if they were removed, or compressed, before Poll saw them.
type Follower struct {
	path  string
	saved []Position // to continue at; they are done with after the first look
	// tails are the log that is being written, last, and before it the parts that were rotated, until they are over.
	tails   []*tail
	started bool // the log was seen, or seen to be missing
	lost    bool
	changed int64 // when the newest of what is read was written, ns since 1970
	buf     []byte
}

// Follow returns a Follower of a log, which may not exist yet. It continues at the positions that Positions returned; if
// there are none, at the end of the log. It opens nothing.
func Follow(path string, saved []Position) *Follower {
	return &Follower{path: path, saved: saved}
}

// OpenToFollow opens a log as a Follower does. An error is the one that Poll returns.
func OpenToFollow(path string) (*os.File, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	t, err := openTail(path)
	if err != nil {
		return nil, err
	}
	return t.file, nil
}

// Close closes all files.
func (f *Follower) Close() {
	for _, t := range f.tails {
		t.file.Close()
	}
	f.tails = nil
}

// Positions returns up to where the log was read; nil if it was not seen yet.
func (f *Follower) Positions() []Position {
	if len(f.tails) == 0 {
		return f.saved
	}
	var all []Position
	for i, t := range f.tails {
		if t.Changed = f.changed; t.HeadSize > 0 || i == len(f.tails)-1 {
			all = append(all, t.Position)
		}
	}
	return all
}

// Unread returns how many bytes of the log were not read, as far as is known.
func (f *Follower) Unread() (n int64) {
	for _, t := range f.tails {
		n += t.unread()
	}
	return n
}

// TakeLost reports whether the log did not continue where it was read up to, since the last call: lines were lost.
func (f *Follower) TakeLost() bool {
	lost := f.lost
	f.lost = false
	return lost
}

// Poll looks at the log, and calls do with lines that are new and complete, until it has read budget bytes. The line is valid
// until do returns. more reports that there is more to read at once. An error is about the log itself: what can be read of
// it is read all the same, and the next Poll tries again.
func (f *Follower) Poll(now time.Time, budget int64, do func(line []byte)) (more bool, err error) {
	if f.buf == nil {
		f.buf = make([]byte, readSize)
	}
	lookErr := f.look()
	for i, t := range f.tails {
		// What came into the new file after the look may be newer than what comes into the old one now.
		limit := int64(math.MaxInt64)
		if i == len(f.tails)-1 {
			limit = t.size
		}
		for budget > 0 {
			n, err := t.readLines(f.buf, limit, do)
			if err != nil && !errors.Is(err, errReplaced) && lookErr == nil {
				lookErr = &fs.PathError{Op: "read", Path: f.path, Err: err}
			}
			if n == 0 {
				break
			}
			budget -= n
			t.idle = time.Time{}
			if info, err := t.file.Stat(); err == nil && i < len(f.tails)-1 {
				t.look(info)
			}
		}
		f.changed = max(f.changed, t.changed)
		if budget <= 0 {
			return true, lookErr
		}
		if t.idle.IsZero() {
			t.idle = now
		}
	}
	f.dropOld(now, do)
	return false, lookErr
}

// dropOld closes the parts that are over. Their last line may have no end.
func (f *Follower) dropOld(now time.Time, do func(line []byte)) {
	for len(f.tails) > 1 && now.Sub(f.tails[0].idle) >= lateTime {
		t := f.tails[0]
		if n, _ := t.file.ReadAt(f.buf, t.Offset); n > 0 && t.beginsAlike(t.file, math.MaxInt64) {
			t.handLine(f.buf[:n], do)
		}
		t.file.Close()
		f.tails = f.tails[1:]
	}
}

// look finds out whether the log is still the one that is open, and opens what followed it.
func (f *Follower) look() error {
	info, err := os.Stat(f.path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && len(f.saved) == 0 {
			f.started = true
		}
		return err
	}
	if len(f.tails) == 0 {
		return f.begin()
	}
	current := f.tails[len(f.tails)-1]
	if current.isSameFile(info) {
		if info.Size() == current.size && info.ModTime().UnixNano() == current.changed {
			return nil
		}
		if current.beginsAlike(current.file, info.Size()) {
			current.look(info)
			return nil
		}
	}
	return f.advance(current)
}

// begin opens the log for the first time.
func (f *Follower) begin() error {
	for i, p := range f.saved {
		if i < len(f.saved)-1 { // a part that was rotated
			f.reopen(p)
		}
	}
	if n := len(f.saved); n > 0 {
		f.changed = f.saved[n-1].Changed
		if err := f.advance(&tail{Position: f.saved[n-1]}); err != nil {
			f.Close()
			return err
		}
		f.saved = nil
		return nil
	}
	t, err := openTail(f.path)
	if err != nil {
		return err
	}
	if !f.started {
		t.skipTo(t.size)
	}
	f.started, f.tails = true, append(f.tails, t)
	return nil
}

// reopen opens the part of a position, if it is there.
func (f *Follower) reopen(p Position) {
	for _, path := range findParts(f.path) {
		if t, err := openTail(path); err == nil {
			if t.isAt(p) && p.beginsAlike(t.file, t.size) {
				t.skipTo(p.Offset)
				f.tails = append(f.tails, t)
				return
			}
			t.file.Close()
		}
	}
}

// advance opens the parts of the log from the one that was read last on, which may have been copied or renamed. current is
// the last tail, or one of an earlier process, which has no file.
func (f *Follower) advance(current *tail) error {
	var parts []*tail
	for _, path := range findParts(f.path) {
		t, err := openTail(path)
		if err == nil {
			parts = append(withoutFile(parts, t), t)
		} else if path == f.path { // such as while it is renamed
			closeAll(parts)
			return err
		}
	}
	at := -1
	if current.file != nil || current.HeadSize > 0 { // else another file may have the inode by now
		at = findLast(parts, func(t *tail) bool {
			return t.isAt(current.Position) && current.beginsAlike(t.file, t.size)
		})
	}
	if at < 0 && current.HeadSize > 0 {
		at = findLast(parts, func(t *tail) bool { return current.beginsAlike(t.file, t.size) })
	}
	switch {
	case at >= 0:
		parts[at].skipTo(current.Offset)
		closeAll(parts[:at])
		parts = f.withoutOlder(parts[at:])
		f.retire(current, true)
	default:
		f.lost = f.lost || current.HeadSize > 0 && current.file == nil
		last := len(parts) - 1
		newer := slices.IndexFunc(parts[:last], func(t *tail) bool { return t.changed > f.changed && !f.isOpen(t) })
		if newer < 0 {
			newer = last
		}
		closeAll(parts[:newer])
		parts = parts[newer:]
		f.retire(current, parts[len(parts)-1].isAt(current.Position))
	}
	f.tails = append(f.tails, parts...)
	if excess := len(f.tails) - maxParts; excess > 0 {
		f.lost = true
		closeAll(f.tails[:excess])
		f.tails = slices.Clone(f.tails[excess:])
	}
	return nil
}

// withoutOlder closes and takes out parts behind the first that were written before what was read, whatever their names
// say. The last is the log.
func (f *Follower) withoutOlder(parts []*tail) []*tail {
	first, last := parts[0], parts[len(parts)-1]
	return slices.DeleteFunc(parts, func(t *tail) bool {
		isOlder := t != first && t != last && t.changed < f.changed
		if isOlder {
			t.file.Close()
		}
		return isOlder
	})
}

// retire takes the last tail out if another one stands for it.
func (f *Follower) retire(current *tail, replaced bool) {
	if n := len(f.tails); current.file != nil && replaced {
		current.file.Close()
		f.tails = f.tails[:n-1]
	}
}

func (f *Follower) isOpen(t *tail) bool {
	return slices.ContainsFunc(f.tails, func(o *tail) bool { return o.isAt(t.Position) })
}

func closeAll(tails []*tail) {
	for _, t := range tails {
		t.file.Close()
	}
}

// withoutFile closes and takes out a part that is the same file as t, by a link.
func withoutFile(parts []*tail, t *tail) []*tail {
	return slices.DeleteFunc(parts, func(p *tail) bool {
		same := p.isAt(t.Position)
		if same {
			p.file.Close()
		}
		return same
	})
}

func findLast(tails []*tail, is func(*tail) bool) int {
	for i := len(tails) - 1; i >= 0; i-- {
		if is(tails[i]) {
			return i
		}
	}
	return -1
}
