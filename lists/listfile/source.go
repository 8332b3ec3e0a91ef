// Package file is the source of lists that are files: the grammar of those that
// operators edit by hand, the table that answers from them, and what tells when a
// change of them is complete. Files of other programs have grammars of their own
// (package lists/feed).
//
// Everything wrong in a file is an error with its place and a hint; nothing
// is skipped. A file with an error in it is not taken at all, and the table
// made from its last good state keeps answering.
package listfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"ehlogate/lists"
)

// Spec says what a source is made of.
type Spec struct {
	Patterns []string // absolute paths or globs (filepath.Match), in order
	Rules    Rules
	// MaxEntries is how many entries are accepted, in all files together; 0:
	// as many as there can be. More are refused before they fill the memory.
	MaxEntries int
	// MinEntries is how many entries there must be, in all files together: a
	// feed that has fewer was cut short.
	MinEntries int
	// ExpireAfter is how long files count from when they were last written or
	// touched; the oldest of them decides. 0: for ever.
	ExpireAfter time.Duration
	Format      Grammar // of the files; nil: that of list files
}

// List is a list as it was read from its files. It never changes: Next
// returns the source that takes its place.
type List struct {
	spec  Spec
	clock func() time.Time
	table *Table   // that was read last; nil: none ever was
	files Snapshot // that state was read from, or was found faulty
	since map[string]time.Time
	state Status
}

// Status is how the last loads of a source went.
type Status struct {
	Loaded  time.Time // of the last table; zero: never loaded
	Entries int       // in that table
	Files   []string  // of that table

	// Err is the mistake in the content of the files, for which they were
	// refused; nil if they were good.
	Err error
	// Unread is why the files cannot be read at present, which says nothing of
	// their content: they are read again until it succeeds. nil: they can be.
	Unread error

	Failures uint64 // loads that were not good, so far

	// StaleAt is when the table is too old to answer (StaleAfter); zero: never.
	StaleAt time.Time
	Expired bool // that time has come, so the list is unavailable
}

// Fault is what keeps the list from being what its files say now: Unread, else
// Err.
func (s Status) Fault() error {
	if s.Unread != nil {
		return s.Unread
	}
	return s.Err
}

var (
	_ lists.Source   = (*List)(nil)
	_ lists.NameUser = (*List)(nil)
)

// New returns a source that was never loaded. clock is what until= is compared
// with, as a rule time.Now.
func New(spec Spec, clock func() time.Time) *List {
	return &List{spec: spec, clock: clock}
}

// Load reads the files as they are now and returns the source that takes the
// place of s. The error is that of its State.
func (s *List) Load() (*List, error) {
	for try := 1; ; try++ {
		next, err := s.Next(StatFiles(s.spec.Patterns, nil), nil, false)
		if err == nil {
			return next, next.state.Fault()
		}
		if try == readTries {
			next = s.WithUnread(err)
			return next, next.state.Unread
		}
	}
}

// Lookup implements lists.Source. It never waits.
func (s *List) Lookup(_ context.Context, c lists.Client) lists.Match {
	if s.table == nil || s.state.Expired {
		return lists.Match{Status: lists.Unavailable}
	}
	id, status := s.table.Lookup(c, s.clock)
	if status == lists.Matched || status == lists.Exception {
		return lists.Match{Status: status, ID: id, By: s.table}
	}
	return lists.Match{Status: status}
}

// UsesNames implements lists.NameUser.
func (s *List) UsesNames() bool {
	t := s.Table()
	return t != nil && len(t.names) > 0
}

// Spec is what the source was made with.
func (s *List) Spec() Spec { return s.spec }

// Table is the table that answers; nil if the list is unavailable, since none was
// ever loaded or it is too old.
func (s *List) Table() *Table {
	if s.state.Expired {
		return nil
	}
	return s.table
}

// Status tells how the last loads went.
func (s *List) Status() Status { return s.state }

// Files is the state of the files that was read last, with or without success.
// A state that could not be read is not among these.
func (s *List) Files() Snapshot { return s.files }

// Next reads the files as they were at a look and returns the source that takes
// the place of s. If there is a mistake in their content it answers from the
// table of s, and State().Err has the mistake; if they cannot be read, likewise
// with Unread, and the files do not count as taken in. The error is
// [MovingError] if they are no longer, or not for the time of the reading, as
// they were. io, which may be nil, shows whether the file system hangs. If the
// files are restless, something may be appended to them meanwhile: they are read
// as far as the look saw them.
func (s *List) Next(files Snapshot, io *Activity, restless bool) (*List, error) {
	now := s.clock()
	taken := files.written(time.Now())
	t, err := readOnce(s.spec, files, io, restless, func(string, *Item) {})
	var moving MovingError
	if errors.As(err, &moving) {
		return nil, err
	}
	next := *s
	next.state.Unread, next.state.Err = nil, nil
	if unread := new(UnreadError); errors.As(err, unread) {
		return s.WithUnread(err), nil
	}
	next.files = taken
	if err != nil {
		next.state.Err = err
		next.state.Failures++
		return next.at(now), nil
	}
	next.table, next.since = t, s.ages(files, now)
	next.state.Loaded, next.state.Entries, next.state.Files = now, t.Len(), nil
	for _, f := range t.files {
		next.state.Files = append(next.state.Files, f.name)
	}
	next.state.StaleAt = next.expiresAt(now)
	return next.at(now), nil
}

// WithUnread returns s as a source whose files cannot be read for the reason
// err; nil: they can be.
func (s *List) WithUnread(err error) *List {
	next := *s
	if err != nil && errText(err) != errText(s.state.Unread) {
		next.state.Failures++
	}
	next.state.Unread = err
	return &next
}

// ages is since when the content of each file is as it is. A file is as old as
// its mtime says; but one with an mtime in the future is as old as its ctime
// says, which cannot be set, and no younger than when it was first read.
func (s *List) ages(files Snapshot, now time.Time) map[string]time.Time {
	since := make(map[string]time.Time)
	for name, st := range files.stamps {
		if st.missing {
			continue
		}
		at := now
		if old, ok := s.files.stamps[name]; ok && old.content == st.content && !s.since[name].IsZero() {
			at = s.since[name]
		}
		for _, ns := range []int64{st.mtime, st.ctime} {
			if t := time.Unix(0, ns); t.Before(at) {
				at = t
			}
		}
		since[name] = at
	}
	return since
}

// expiresAt is when what was loaded at now will be too old.
func (s *List) expiresAt(now time.Time) time.Time {
	if s.spec.ExpireAfter == 0 {
		return time.Time{}
	}
	oldest := now
	for _, t := range s.since {
		if t.Before(oldest) {
			oldest = t
		}
	}
	return oldest.Add(s.spec.ExpireAfter)
}

// At returns s as it is at now: a list whose files are too old by then
// (StaleAfter) is unavailable. It is s itself if that changes nothing. It is to be
// called about once a second, so that no lookup has to read the clock.
func (s *List) At(now time.Time) *List {
	if s.state.tooOld(now) == s.state.Expired {
		return s
	}
	next := *s
	return next.at(now)
}

func (s *List) at(now time.Time) *List {
	s.state.Expired = s.state.tooOld(now)
	return s
}

func (s Status) tooOld(now time.Time) bool { return !s.StaleAt.IsZero() && !now.Before(s.StaleAt) }

// readTries is how often a file that changes while it is read is read again.
const readTries = 3

// MovingError names a file that is no longer as it was at a look, or changed
// while it was read.
type MovingError string

func (e MovingError) Error() string { return string(e) + " changes while it is read" }

// UnreadError is an error of the file system that says nothing of the content
// of a file, such as EMFILE, EIO, ESTALE or EACCES (errno(3)).
type UnreadError struct{ Problem }

// Read makes a table of the files of spec. Its errors are *Problems.
func Read(spec Spec) (*Table, error) {
	return read(spec, func() {}, func(string, *Item) {})
}

// read gives all entries to each, with the name of their file. It calls begin
// before the first, and again if it has to start anew.
func read(spec Spec, begin func(), each func(file string, it *Item)) (*Table, error) {
	for try := 1; ; try++ {
		begin()
		t, err := readOnce(spec, StatFiles(spec.Patterns, nil), nil, false, each)
		var moving MovingError
		var unread UnreadError
		switch {
		case errors.As(err, &unread):
			return nil, &Problems{Total: 1, First: []Problem{unread.Problem}}
		case !errors.As(err, &moving):
			return t, err
		case try == readTries:
			return nil, &Problems{Total: 1, First: []Problem{{File: string(moving), Msg: "the file changes while it is read",
				Hint: "write a new file and rename it over the old one"}}}
		}
	}
}

// readOnce reads the files as they were at a look. Its errors are *Problems,
// MovingError and UnreadError.
func readOnce(spec Spec, files Snapshot, io *Activity, restless bool, each func(file string, it *Item)) (*Table, error) {
	var all Problems
	if err := files.Err(); err != nil {
		return nil, NewUnreadError("", files.err)
	} else if files.err != nil {
		all.Add(fileProblem("", files.err))
	}
	b := builder{max: spec.MaxEntries}
	for _, name := range files.names {
		err := readFile(name, files.stamps[name], spec, io, restless, func(lines int) { b.file(name, lines) }, func(it *Item) error {
			each(name, it)
			return b.add(it)
		})
		var ps *Problems
		var tooMany Problem
		switch {
		case err == nil:
		case errors.As(err, new(MovingError)):
			return nil, err
		case errors.As(err, &ps):
			for _, p := range ps.First {
				all.Add(p)
			}
			all.Total += ps.Total - len(ps.First)
		case errors.As(err, &tooMany):
			all.Add(tooMany)
			return nil, &all
		case IsContent(err):
			all.Add(fileProblem(name, err))
		default:
			return nil, NewUnreadError(name, err)
		}
	}
	if n := len(b.bits); n < spec.MinEntries && all.Total == 0 {
		all.Add(tooFew(spec, files.names, n))
	}
	if err := all.Err(); err != nil {
		return nil, err
	}
	return b.table(), nil
}

// NewUnreadError returns the error err about a file, with what to do about it, as an
// UnreadError.
func NewUnreadError(name string, err error) error { return UnreadError{fileProblem(name, err)} }

// IsContent reports whether an error of the file system is about what is there,
// which stays until it is changed, and not about reading it.
func IsContent(err error) bool {
	for _, e := range []error{syscall.ELOOP, syscall.ENAMETOOLONG, syscall.ENXIO, syscall.EISDIR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return isAbsent(err) || errors.As(err, new(kindError))
}

// maxSize is the size of a file, in bytes, from which on it is no list: 20 million
// entries with notes of a hundred bytes are less.
const maxSize = 4 << 30

// tooFew is the problem of a list with only n entries.
func tooFew(spec Spec, files []string, n int) Problem {
	p := Problem{Msg: fmt.Sprintf("the list has %d of at least %d entries (min_entries)", n, spec.MinEntries),
		Hint: "is the feed cut short? If it is meant to be so small, lower min_entries in the config"}
	if p.File = strings.Join(files, ", "); len(files) == 0 {
		p.File = strings.Join(spec.Patterns, ", ")
	}
	return p
}

// readFile says how many lines there are before it gives the first entry. at is
// the file's stamp at the look.
func readFile(name string, at stamp, spec Spec, activity *Activity, restless bool, begin func(lines int), each func(*Item) error) error {
	f, info, err := open(name, activity)
	if err != nil {
		if isAbsent(err) != at.missing {
			return MovingError(name)
		}
		return err
	}
	defer f.Close()
	begun := stampOf(info).content
	moved := func(now content) bool { return now != begun && !(restless && now.grew(begun)) }
	if at.missing || !at.unreachable && begun != at.content && !(restless && begun.grew(at.content)) {
		return MovingError(name)
	}
	if begun.size > maxSize {
		return &Problems{Total: 1, First: []Problem{{File: name, Msg: fmt.Sprintf("the file has more than %d GiB", maxSize>>30), Hint: "is this a list file?"}}}
	}
	size := begun.size
	if restless && !at.unreachable {
		size = at.size
	}
	lines, err := countLines(f, size)
	if err != nil {
		return err
	}
	begin(lines)
	parse := Parse
	if spec.Format != nil {
		parse = spec.Format.Parse
	}
	parseErr := parse(io.LimitReader(f, int64(size)), name, spec.Rules, each)
	// Not the ctime: the file may have been replaced by now, which leaves its
	// content as it was.
	after, err := f.Stat()
	if err != nil || moved(stampOf(after).content) || parseErr != nil && uint64(after.Size()) > size { // which may have cut a line
		return MovingError(name)
	}
	return parseErr
}

// countLines says how many lines a file has, in a hundredth of the time that
// it takes to read them, and so that what they are read into need not grow.
func countLines(f *watchedFile, size uint64) (n int, err error) {
	r, buf := io.LimitReader(f, int64(size)), make([]byte, readSize)
	for {
		got, err := r.Read(buf)
		n += bytes.Count(buf[:got], []byte("\n"))
		if err == io.EOF {
			_, err = f.Seek(0, io.SeekStart)
			return n, err
		} else if err != nil {
			return n, err
		}
	}
}
