// Package file is the source of lists that are files: the grammar of those that
// operators edit by hand, the table that answers from them, and the watch that
// follows their changes. Files of other programs have grammars of their own
// (package lists/feed).
//
// Everything wrong in a file is an error with its place and a hint; nothing
// is skipped. A file with an error in it is not taken at all, and the table
// made from its last good state keeps answering.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync/atomic"
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
	// StaleAfter is how long files count from when they were last written or
	// touched; the oldest of them decides. 0: for ever.
	StaleAfter time.Duration
	Format     Grammar // of the files; nil: that of list files
}

// Source answers from list files. Lookups may run at any time; Load, Stale,
// Tick and Spec belong to the one goroutine that reloads.
type Source struct {
	spec  Spec
	clock func() time.Time
	table atomic.Pointer[Table] // that answers
	state atomic.Pointer[State]
	last  *Table           // that was loaded; does not answer when it is too old
	seen  map[string]stamp // at the last Load
}

// State is how the last loads of a source went.
type State struct {
	Loaded  time.Time // of the last table; zero: never loaded
	Entries int       // in that table
	Files   []string  // of that table
	Err     error     // of the last load; nil if it was good

	Failures uint64 // loads that were not good, so far

	// StaleAt is when the table is too old to answer (StaleAfter); zero: never.
	StaleAt time.Time
	Stale   bool // that time has come, so the list is unloaded
}

var (
	_ lists.Source   = (*Source)(nil)
	_ lists.NameUser = (*Source)(nil)
)

// New makes a source that is unloaded until its first good Load. clock is
// what until= is compared with, as a rule time.Now.
func New(spec Spec, clock func() time.Time) *Source {
	s := &Source{spec: spec, clock: clock}
	s.state.Store(&State{})
	return s
}

// Lookup implements lists.Source. It never waits.
func (s *Source) Lookup(_ context.Context, c lists.Client) lists.Found {
	t := s.table.Load()
	if t == nil {
		return lists.Found{Status: lists.Unloaded}
	}
	id, status := t.Lookup(c, s.clock)
	if status == lists.Held || status == lists.Excepted {
		return lists.Found{Status: status, ID: id, By: t}
	}
	return lists.Found{Status: status}
}

// UsesNames implements lists.NameUser.
func (s *Source) UsesNames() bool {
	t := s.table.Load()
	return t != nil && len(t.names) > 0
}

// Spec is what the source was made with.
func (s *Source) Spec() Spec { return s.spec }

// Table is the table that answers now; nil if the list is unloaded, since none
// was ever loaded or it is too old.
func (s *Source) Table() *Table { return s.table.Load() }

// State tells how the last loads went.
func (s *Source) State() State { return *s.state.Load() }

// Size is how many bytes the files have now, as far as they are there.
func (s *Source) Size() (n int64) {
	for _, st := range stamps(s.spec.Patterns) {
		n += int64(st.size)
	}
	return n
}

// Load reads the files and, if all of them are good, lets the new table
// answer. Else the old one goes on, and the error, *Problems as a rule, is
// also in State.
func (s *Source) Load() error {
	s.seen = stamps(s.spec.Patterns)
	t, err := Read(s.spec)
	state, now := s.State(), s.clock()
	if state.Err = err; err != nil {
		state.Failures++
	} else {
		state.Loaded, state.Entries, state.Files, state.StaleAt = now, t.Len(), nil, s.staleAt(now)
		for _, f := range t.files {
			state.Files = append(state.Files, f.name)
		}
		s.last = t
	}
	s.answer(state, now)
	return err
}

// staleAt is when what is loaded now will be too old.
func (s *Source) staleAt(now time.Time) time.Time {
	if s.spec.StaleAfter == 0 {
		return time.Time{}
	}
	oldest := now // and so are files from the future
	for _, st := range s.seen {
		if t := time.Unix(0, st.mtime); !st.missing && t.Before(oldest) {
			oldest = t
		}
	}
	return oldest.Add(s.spec.StaleAfter)
}

// Tick tells the time, so that no lookup has to ask for it: a list whose files
// are too old by now (StaleAfter) is unloaded. It is to be called about once a
// second. changed: that is not as it was.
func (s *Source) Tick(now time.Time) (changed bool) {
	state := s.State()
	if state.tooOld(now) == state.Stale {
		return false
	}
	s.answer(state, now)
	return true
}

// answer lets the last table answer, unless it is too old.
func (s *Source) answer(state State, now time.Time) {
	t := s.last
	if state.Stale = state.tooOld(now); state.Stale {
		t = nil
	}
	s.table.Store(t)
	s.state.Store(&state)
}

func (s State) tooOld(now time.Time) bool { return !s.StaleAt.IsZero() && !now.Before(s.StaleAt) }

// Stale says whether the files changed since the last Load, and not whether
// they are old (Tick does): whether their state differs, or one of them is in touched, the paths that were written to
// (a change may be too quick to show in the file's times).
func (s *Source) Stale(touched map[string]bool) bool {
	for name := range s.seen {
		if touched[name] {
			return true
		}
	}
	return !maps.Equal(s.seen, stamps(s.spec.Patterns))
}

// readTries is how often a file that changes while it is read is read again.
const readTries = 3

// movingError names a file that changed while it was read.
type movingError string

func (e movingError) Error() string { return string(e) + " changes while it is read" }

// Read makes a table of the files of spec. Its errors are *Problems.
func Read(spec Spec) (*Table, error) {
	return read(spec, func() {}, func(string, *Item) {})
}

// read gives all entries to each, with the name of their file. It calls begin
// before the first, and again if it has to start anew.
func read(spec Spec, begin func(), each func(file string, it *Item)) (*Table, error) {
	for try := 1; ; try++ {
		begin()
		t, err := readOnce(spec, each)
		var moving movingError
		if !errors.As(err, &moving) {
			return t, err
		}
		if try == readTries {
			return nil, &Problems{Total: 1, First: []Problem{{File: string(moving), Msg: "the file changes while it is read",
				Hint: "write a new file and rename it over the old one"}}}
		}
	}
}

func readOnce(spec Spec, each func(file string, it *Item)) (*Table, error) {
	var all Problems
	names, err := expand(spec.Patterns)
	if err != nil {
		all.Add(fileProblem("", err))
	}
	b := builder{max: spec.MaxEntries}
	for _, name := range names {
		err := readFile(name, spec, func(lines int) { b.file(name, lines) }, func(it *Item) error {
			each(name, it)
			return b.add(it)
		})
		var ps *Problems
		var tooMany Problem
		switch {
		case err == nil:
		case errors.As(err, new(movingError)):
			return nil, err
		case errors.As(err, &ps):
			for _, p := range ps.First {
				all.Add(p)
			}
			all.Total += ps.Total - len(ps.First)
		case errors.As(err, &tooMany):
			all.Add(tooMany)
			return nil, &all
		default:
			all.Add(fileProblem(name, err))
		}
	}
	if n := len(b.bits); n < spec.MinEntries && all.Total == 0 {
		all.Add(tooFew(spec, names, n))
	}
	if err := all.Err(); err != nil {
		return nil, err
	}
	t, err := b.table()
	if err != nil {
		all.Add(Problem{File: spec.Patterns[0], Msg: err.Error(), Hint: "make fewer of the temporary ranges overlap"})
		return nil, &all
	}
	return t, nil
}

// tooFew is the problem of a list with only n entries.
func tooFew(spec Spec, files []string, n int) Problem {
	p := Problem{Msg: fmt.Sprintf("the list has %d of at least %d entries (min_entries)", n, spec.MinEntries),
		Hint: "is the feed cut short? If it is meant to be so small, lower min_entries in the config"}
	if p.File = strings.Join(files, ", "); len(files) == 0 {
		p.File = strings.Join(spec.Patterns, ", ")
	}
	return p
}

// readFile says how many lines there are before it gives the first entry.
func readFile(name string, spec Spec, begin func(lines int), each func(*Item) error) error {
	f, before, err := open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines, err := countLines(f)
	if err != nil {
		return err
	}
	begin(lines)
	parse := Parse
	if spec.Format != nil {
		parse = spec.Format.Parse
	}
	parseErr := parse(f, name, spec.Rules, each)
	if after, err := f.Stat(); err != nil || stampOf(after) != stampOf(before) {
		return movingError(name)
	}
	return parseErr
}

// countLines says how many lines a file has, in a hundredth of the time that
// it takes to read them, and so that what they are read into need not grow.
func countLines(f *os.File) (n int, err error) {
	buf := make([]byte, readSize)
	for {
		got, err := f.Read(buf)
		n += bytes.Count(buf[:got], []byte("\n"))
		if err == io.EOF {
			_, err = f.Seek(0, io.SeekStart)
			return n, err
		} else if err != nil {
			return n, err
		}
	}
}
