package filewatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// settling looks at real files, at times that the test sets.
type settling struct {
	t      *testing.T
	dir    string
	loaded Snapshot
	now    time.Time
	n      int
	Settler
}

func newSettling(t *testing.T) *settling {
	s := &settling{t: t, dir: t.TempDir(), now: time.Now(), Settler: Settler{Quiet: time.Second, MaxWait: 10 * time.Second}}
	write(t, s.path("a.list"), "192.0.2.1\n")
	s.look()
	s.loaded = s.Files
	s.look()
	return s
}

func (s *settling) path(name string) string { return filepath.Join(s.dir, name) }

// look looks 100 ms after the look before.
func (s *settling) look() {
	s.now = s.now.Add(100 * time.Millisecond)
	s.n++
	s.Observe(StatFiles([]string{filepath.Join(EscapeGlob(s.dir), "*.list")}, nil), s.loaded, s.now, s.n)
}

// want looks so many times, and fails unless the change is complete at the last look and not before.
func (s *settling) want(looks int, what string) {
	s.t.Helper()
	for i := 1; i <= looks; i++ {
		s.look()
		if got, want := s.IsComplete(s.loaded, s.now), i == looks; got != want {
			s.t.Fatalf("%s: complete is %v at look %d of %d", what, got, i, looks)
		}
	}
}

// append writes to a file in place.
func (s *settling) append(name string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path(name), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	must(s.t, err)
	_, err = f.WriteString("192.0.2.2\n")
	must(s.t, err)
	must(s.t, f.Close())
}

const (
	atOnce    = 2  // two looks must see the same
	whenQuiet = 11 // a second after the look that saw the change
)

func TestComplete(t *testing.T) {
	for what, tc := range map[string]struct {
		change func(s *settling)
		looks  int
	}{
		"moved into place": {func(s *settling) {
			write(t, s.path("new"), "192.0.2.2\n")
			touch(t, s.path("new"), time.Now().Add(-time.Minute))
			must(t, os.Rename(s.path("new"), s.path("a.list")))
		}, atOnce},
		"moved into place, and another name": {func(s *settling) {
			write(t, s.path("new"), "192.0.2.2\n")
			touch(t, s.path("new"), time.Now().Add(-time.Minute))
			must(t, os.Rename(s.path("new"), s.path("b.list")))
		}, atOnce},
		"written in place": {func(s *settling) { s.append("a.list") }, whenQuiet},
		"written by another link": {func(s *settling) {
			must(t, os.Link(s.path("a.list"), s.path("link")))
			s.append("link")
		}, whenQuiet},
		"written in place, and mtime set back": {func(s *settling) {
			s.append("a.list")
			touch(t, s.path("a.list"), time.Now().Add(-time.Hour))
		}, whenQuiet},
		"created":      {func(s *settling) { s.append("b.list") }, whenQuiet},
		"deleted":      {func(s *settling) { must(t, os.Remove(s.path("a.list"))) }, whenQuiet},
		"directory":    {func(s *settling) { must(t, os.RemoveAll(s.dir)) }, whenQuiet},
		"deleted, new": {func(s *settling) { must(t, os.Remove(s.path("a.list"))); s.append("a.list") }, whenQuiet},
		"not readable": {func(s *settling) { must(t, os.Chmod(s.path("a.list"), 0)) }, whenQuiet},
	} {
		s := newSettling(t)
		if !s.IsComplete(s.loaded, s.now) || !s.ChangedSince.IsZero() {
			t.Errorf("%s: before it it was not complete", what)
		}
		tc.change(s)
		s.want(tc.looks, what)
		if s.ChangedSince.IsZero() {
			t.Errorf("%s: the change does not show", what)
		}
	}
}

// A file that is written to again and again is not complete before it is quiet, or MaxWait is over.
func TestCompleteOverdue(t *testing.T) {
	s := newSettling(t)
	for range 10 {
		s.append("a.list")
		for range 4 {
			if s.look(); s.IsComplete(s.loaded, s.now) {
				t.Fatal("settled while it is written")
			}
		}
	}
	s.want(7, "quiet") // the last write was seen three looks ago
	s = newSettling(t)
	begun := s.now
	for !s.IsComplete(s.loaded, s.now) || s.now == begun {
		s.append("a.list")
		for range 4 {
			s.look()
		}
	}
	if took := s.now.Sub(begun); took < s.MaxWait || took > s.MaxWait+time.Second {
		t.Errorf("it was read after %s, want %s", took, s.MaxWait)
	}
}

// A deleted file that comes back as it was is no change.
func TestCompleteMovedBack(t *testing.T) {
	s := newSettling(t)
	must(t, os.Rename(s.path("a.list"), s.path("away")))
	s.look()
	must(t, os.Rename(s.path("away"), s.path("a.list")))
	s.look()
	if s.ChangedSince.IsZero() {
		t.Fatal("a rename changes no ctime here: the test is of no use")
	}
	s.want(10, "moved away and back") // same inode, same mtime: it may have been written to meanwhile
}

// A list that is seen for the first time and has long been as it is needs no
// second of waiting.
func TestCompleteFirst(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.list"), "192.0.2.1\n")
	s := Settler{Quiet: 30 * time.Millisecond, MaxWait: time.Hour}
	now := time.Now()
	look := func() bool {
		now = now.Add(time.Millisecond)
		s.Observe(StatFiles([]string{filepath.Join(EscapeGlob(dir), "*.list")}, nil), Snapshot{}, now, 1)
		return s.IsComplete(Snapshot{}, now)
	}
	if first, second := look(), look(); first || second {
		t.Error("a file that was just written is settled")
	}
	time.Sleep(s.Quiet + clockTick) // what makes a file old is nothing but time
	s = Settler{Quiet: s.Quiet, MaxWait: s.MaxWait}
	if first, second := look(), look(); first || !second {
		t.Errorf("complete is %v at the first look and %v at the second", first, second)
	}
}
