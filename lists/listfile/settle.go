package listfile

import "time"

// Settler decides, from repeated looks at the files of one list, when a change
// is complete. It goes by the files alone, not by notifications: these do not
// tell of writes through another link or mount, by another host, or from before
// the watch, and a watch is lost with its directory.
//
// A file that was moved into place is complete. One that is written in place is
// taken to be complete when it has not changed for Quiet. They are told apart by
// inode and times: a rename(2) changes the ctime of a file and not its mtime,
// a write changes both.
type Settler struct {
	Quiet time.Duration // how long a file that is written in place must stay as it is
	// Restless is how long a list may go on changing until it is read all the
	// same, if no write comes between: a program may append to it for ever.
	Restless time.Duration

	files    Snapshot
	previous Snapshot             // at the look before
	since    map[string]time.Time // when each file was first seen as it is
	unrest   time.Time            // since when the files differ from those taken in; zero: they do not

	changed int // number of the last look that saw another state than the one before it
	rested  int // number of the last look that saw the state taken in
}

// Look takes down the state of the files that look number n saw at now. taken
// is the state that the list in force was read from.
func (s *Settler) Look(files, taken Snapshot, now time.Time, n int) {
	first := s.since == nil
	since := make(map[string]time.Time, len(files.stamps))
	for name, st := range files.stamps {
		before, known := s.since[name]
		switch {
		case known && s.files.stamps[name] == st:
			since[name] = before
		case first && time.Unix(0, st.ctime).Before(time.Now().Add(-s.Quiet)):
			since[name] = now.Add(-s.Quiet)
		default:
			since[name] = now
		}
	}
	for name := range taken.stamps { // those that are gone
		if _, there := files.stamps[name]; there {
			continue
		}
		if _, was := s.files.stamps[name]; was || s.since[name].IsZero() {
			since[name] = now
		} else {
			since[name] = s.since[name]
		}
	}
	if first || !files.Equal(s.files) {
		s.changed = n
	}
	s.previous, s.files, s.since = s.files, files, since
	switch {
	case files.Equal(taken):
		s.unrest, s.rested = time.Time{}, n
	case s.unrest.IsZero():
		s.unrest = now
	}
}

// Files is the state at the last look.
func (s *Settler) Files() Snapshot { return s.files }

// Still reports whether the last two looks saw the same.
func (s *Settler) Still() bool { return s.since != nil && s.files.Equal(s.previous) }

// Changed is since when the files differ from those taken in; zero: they do not.
func (s *Settler) Changed() time.Time { return s.unrest }

// Moved takes down that the files changed while they were read: they are no less
// restless than if the change had been seen at now.
func (s *Settler) Moved(now time.Time) { s.unrest = now }

// ChangedAt is the number of the last look that saw another state than the look
// before it.
func (s *Settler) ChangedAt() int { return s.changed }

// RestedAt is the number of the last look that saw the state taken in.
func (s *Settler) RestedAt() int { return s.rested }

// IsRestless reports whether the files have gone on changing for so long that they
// are to be read as they are.
func (s *Settler) IsRestless(now time.Time) bool {
	return !s.unrest.IsZero() && now.Sub(s.unrest) >= s.Restless
}

// Settled reports whether what differs between the files and taken is complete.
func (s *Settler) Settled(taken Snapshot, now time.Time) bool {
	if s.IsRestless(now) {
		return true
	}
	for name, since := range s.since {
		st, old := s.files.stamps[name], taken.stamps[name]
		if st == old {
			continue
		}
		_, there := s.files.stamps[name]
		moved := there && !st.missing && (st.dev != old.dev || st.ino != old.ino) && st.ctime > st.mtime
		if !moved && now.Sub(since) < s.Quiet {
			return false
		}
	}
	return s.Still()
}
