package listfile

import (
	"bytes"
	"errors"
	"io"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/iptable"
	"ehlogate/lists/uselog"
)

// Spec is the configuration of a list.
type Spec struct {
	Patterns    []string // of its files, in order; see filewatch.StatFiles
	Rules       Rules
	MaxEntries  int           // in all files together, to bound memory; 0: no limit
	MinEntries  int           // in all files together: a feed that has fewer was cut short
	ExpireAfter time.Duration // after the oldest file was written or touched; 0: never
	Format      Grammar       // nil: list files
	Named       bool          // the files are named on a command line, and not in the config
}

// List is a list as it was read from its files. It never changes: its methods return the list that takes its place.
type List struct {
	spec   Spec
	clock  func() time.Time
	table  *iptable.Table // of the last good read; nil: there was none
	files  filewatch.Snapshot
	since  map[string]time.Time // see filewatch.Snapshot.ContentSince
	status Status
	log    *uselog.Log   // nil: uses are not noted
	uses   *uselog.Table // of the entries of table; nil: they are not noted
}

// Status describes the last reads of a list.
type Status struct {
	Loaded     time.Time     // when the table was read; zero: never
	Entries    int           // in the files of the table, but for exceptions; an entry that becomes several is one
	Exceptions int           // likewise
	Files      []string      // of the table
	Oldest     string        // of these the one whose content is oldest
	Skipped    diag.Problems // lines of a feed that have no effect in the table

	Err      error  // mistakes in the files, which were refused for them; nil: there are none
	ReadErr  error  // why the files cannot be read at present; they are read again until that succeeds
	Failures uint64 // reads that failed, so far

	FaultSince time.Time // when Fault began to return an error; zero: it returns none

	ExpiresAt time.Time // when the table expires (ExpireAfter); zero: never
	Expired   bool      // that time has come, so the list is unavailable
}

// Fault returns why the list is not as its files are now: ReadErr, else Err.
func (s Status) Fault() error {
	if s.ReadErr != nil {
		return s.ReadErr
	}
	return s.Err
}

var (
	_ lists.Source        = (*List)(nil)
	_ lists.SessionSource = (*List)(nil)
	_ lists.NameUser      = (*List)(nil)
)

// New returns a list that was not read yet. Entries expire by clock, as a rule time.Now.
func New(spec Spec, clock func() time.Time) *List {
	return &List{spec: spec, clock: clock}
}

func (s *List) Lookup(c lists.Client) lists.Match {
	t := s.Table()
	if t == nil {
		return lists.Match{Status: lists.Unavailable}
	}
	id, status := t.Lookup(c, s.clock)
	if status == lists.Matched || status == lists.Exception {
		return lists.Match{Status: status, ID: id, By: t}
	}
	return lists.Match{Status: status}
}

func (s *List) UsesNames() bool {
	t := s.Table()
	return t != nil && t.HasNames()
}

func (s *List) Spec() Spec { return s.spec }

// Table returns the table that answers; nil if the list is unavailable: never read, or expired.
func (s *List) Table() *iptable.Table {
	if s.status.Expired {
		return nil
	}
	return s.table
}

func (s *List) Status() Status { return s.status }

// Files returns the snapshot that was read last, with or without success. One that could not be read does not count.
func (s *List) Files() filewatch.Snapshot { return s.files }

// Load looks at the files, reads them, and returns the list that takes the place of s. The error is that of its Status.
func (s *List) Load() (*List, error) { return s.loadWith(nil, func() *inspection { return nil }) }

// LoadWith is Load with the texts of some files in place of what is on disk, by their names. begin, which may be nil, returns
// for each try a function that is called for each entry.
func (s *List) LoadWith(texts map[string][]byte, begin func() func(*Item)) (*List, error) {
	return s.loadWith(texts, func() *inspection {
		if begin == nil {
			return nil
		}
		return &inspection{visit: begin()}
	})
}

// readTries is how often Load reads files that change meanwhile.
const readTries = 3

// inspection is what else is done with the entries of a list that is read.
type inspection struct {
	visit      func(*Item)
	keepsOrder bool
	order      *iptable.Order // if keepsOrder
}

// loadWith is Load with an inspection of its own for each try.
func (s *List) loadWith(texts map[string][]byte, begin func() *inspection) (*List, error) {
	for try := 1; ; try++ {
		files := filewatch.StatFiles(s.spec.Patterns, nil)
		next, err := s.readFiles(files, func(name string, read func(io.ReadSeeker) error) error {
			if text, ok := texts[name]; ok {
				return read(bytes.NewReader(text))
			}
			return files.Read(name, nil, false, read)
		}, begin())
		if err == nil {
			return next, next.status.Fault()
		}
		if try == readTries {
			err = filewatch.NewReadError("", err)
			return s.WithReadError(err), err
		}
	}
}

// ReadSnapshot reads the files that a look saw and returns the list that takes the place of s. If there are mistakes in
// them, it answers from the table of s, and its Status has the mistakes; likewise if they cannot be read, and then the
// snapshot does not count as read. The error is a [filewatch.ChangedError] if the files are not as the look saw them.
//
// If allowAppend is true, more may be appended to the files meanwhile. activity, which may be nil, shows a hanging file
// system.
func (s *List) ReadSnapshot(files filewatch.Snapshot, activity *filewatch.Activity, allowAppend bool) (*List, error) {
	inspect, keys := s.collectKeys()
	next, err := s.readFiles(files, func(name string, read func(io.ReadSeeker) error) error {
		return files.Read(name, activity, allowAppend, read)
	}, inspect)
	if err == nil && next.table != s.table && inspect != nil {
		if next.uses = nil; len(*keys) <= uselog.MaxEntries {
			next.uses = s.log.NewTable(*keys)
		}
	}
	return next, err
}

// opener opens a file, and calls read with its content.
type opener func(name string, read func(io.ReadSeeker) error) error

func (s *List) readFiles(files filewatch.Snapshot, open opener, inspect *inspection) (*List, error) {
	now := s.clock()
	asRead := files.WithoutRacy(time.Now())
	t, read, err := s.spec.readTable(files, open, inspect)
	switch {
	case errors.As(err, new(filewatch.ChangedError)):
		return nil, err
	case filewatch.IsReadError(err):
		return s.WithReadError(err), nil
	}
	next := *s
	next.files, next.status.ReadErr, next.status.Err = asRead, nil, err
	next.status.setFaultSince(s.clock)
	if err != nil {
		next.status.Failures++
		next.status.Expired = next.status.isExpired(now)
		return &next, nil
	}
	next.table, next.since = t, files.ContentSince(s.files, s.since, now)
	next.status.Loaded, next.status.Files = now, files.Names()
	next.status.Entries, next.status.Exceptions, next.status.Skipped = read.entries, read.exceptions, read.skipped
	next.setExpiry(now)
	return &next, nil
}

// WithReadError returns s as a list whose files cannot be read for the reason err; nil: they can be.
func (s *List) WithReadError(err error) *List {
	next := *s
	if err != nil && (s.status.ReadErr == nil || err.Error() != s.status.ReadErr.Error()) {
		next.status.Failures++
	}
	next.status.ReadErr = err
	next.status.setFaultSince(s.clock)
	return &next
}

// setFaultSince keeps the time of the first of several faults, which is since when the list is not as its files.
func (s *Status) setFaultSince(clock func() time.Time) {
	if s.Fault() == nil {
		s.FaultSince = time.Time{}
	} else if s.FaultSince.IsZero() {
		s.FaultSince = clock()
	}
}

// setExpiry sets when the files, read at now, expire.
func (s *List) setExpiry(now time.Time) {
	oldest := now
	s.status.Oldest, s.status.ExpiresAt = "", time.Time{}
	for name, t := range s.since {
		if t.Before(oldest) {
			oldest, s.status.Oldest = t, name
		}
	}
	if s.spec.ExpireAfter > 0 {
		s.status.ExpiresAt = oldest.Add(s.spec.ExpireAfter)
	}
	s.status.Expired = s.status.isExpired(now)
}

// AsOf returns s as it is at now, which is s itself if it neither expires nor, with the clock set back, ceases to be
// expired. It is to be called about once a second, so that lookups need not read the clock.
func (s *List) AsOf(now time.Time) *List {
	if s.status.isExpired(now) == s.status.Expired {
		return s
	}
	next := *s
	next.status.Expired = !s.status.Expired
	return &next
}

func (s Status) isExpired(now time.Time) bool {
	return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
}
