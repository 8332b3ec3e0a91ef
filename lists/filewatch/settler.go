package filewatch

import "time"

// Settler decides from repeated looks at the files of one list when a change is complete. It debounces what it sees,
// and does not use notifications: inotify(7) does not report writes through another link or mount, by another host,
// or from before the watch, and a watch is lost with its directory.
//
// A file that was moved into place is complete. One that is written in place is taken to be complete when it has not
// changed for Quiet. They are told apart by inode and times: rename(2) changes the ctime of a file and not its mtime,
// a write changes both.
type Settler struct {
	Quiet time.Duration // how long a file that is written in place must not change
	// MaxWait is how long a list may keep changing until it is read all the same: a program may append to it for ever.
	MaxWait time.Duration

	Files Snapshot // of the last look
	// ChangedSince is since when the files differ from the loaded ones; zero: they do not. A caller that finds that they
	// changed while it read them sets it to the present, so that MaxWait begins anew.
	ChangedSince  time.Time
	LastChange    int // number of the last look that saw another state than the look before it
	LastUnchanged int // number of the last look that saw the loaded state

	previous Snapshot             // one look earlier
	since    map[string]time.Time // when each file was first seen in its present state
}

// Observe records the files that look number n saw at now. loaded is the snapshot that the list in force was read from.
func (s *Settler) Observe(files, loaded Snapshot, now time.Time, n int) {
	first := s.since == nil
	since := make(map[string]time.Time, len(files.stamps))
	for name, st := range files.stamps {
		before, known := s.since[name]
		switch {
		case known && s.Files.stamps[name] == st:
			since[name] = before
		case first && time.Unix(0, st.ctime).Before(time.Now().Add(-s.Quiet)):
			since[name] = now.Add(-s.Quiet)
		default:
			since[name] = now
		}
	}
	for name := range loaded.stamps { // deleted ones
		if _, exists := files.stamps[name]; exists {
			continue
		}
		if _, existed := s.Files.stamps[name]; existed || s.since[name].IsZero() {
			since[name] = now
		} else {
			since[name] = s.since[name]
		}
	}
	if first || !files.Equal(s.Files) {
		s.LastChange = n
	}
	s.previous, s.Files, s.since = s.Files, files, since
	switch {
	case files.Equal(loaded):
		s.ChangedSince, s.LastUnchanged = time.Time{}, n
	case s.ChangedSince.IsZero():
		s.ChangedSince = now
	}
}

// IsStable reports whether the last two looks saw the same.
func (s *Settler) IsStable() bool { return s.since != nil && s.Files.Equal(s.previous) }

// IsOverdue reports whether the files have changed for MaxWait, so that they are to be read as they are.
func (s *Settler) IsOverdue(now time.Time) bool {
	return !s.ChangedSince.IsZero() && now.Sub(s.ChangedSince) >= s.MaxWait
}

// IsComplete reports whether the difference between the files and the loaded ones is complete.
func (s *Settler) IsComplete(loaded Snapshot, now time.Time) bool {
	if s.IsOverdue(now) {
		return true
	}
	for name, since := range s.since {
		st, old := s.Files.stamps[name], loaded.stamps[name]
		if st == old {
			continue
		}
		_, exists := s.Files.stamps[name]
		moved := exists && !st.missing && (st.dev != old.dev || st.ino != old.ino) && st.ctime > st.mtime
		if !moved && now.Sub(since) < s.Quiet {
			return false
		}
	}
	return s.IsStable()
}
