package listfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
)

// touch sets the times of a file.
func touch(t *testing.T, name string, at time.Time) {
	t.Helper()
	must(t, os.Chtimes(name, at, at))
}

// A list whose oldest file is too old is unavailable, and comes back by itself.
func TestStaleAfter(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.list"), filepath.Join(dir, "b.list")
	now := epoch
	s := New(Spec{Patterns: []string{filepath.Join(dir, "*.list")}, ExpireAfter: time.Hour}, func() time.Time { return now })
	want := func(st lists.Status, stale bool, at time.Time) {
		t.Helper()
		state := s.Status()
		if got := status(s, "192.0.2.1"); got != st || state.Expired != stale || !state.ExpiresAt.Equal(at) || (s.Table() == nil) != (st == lists.Unavailable) {
			t.Fatalf("%v, stale %v at %s; want %v, %v, %s", got, state.Expired, state.ExpiresAt, st, stale, at)
		}
	}
	tick := func(at time.Time, changed bool) {
		t.Helper()
		now = at
		if next := s.AsOf(at); (next != s) != changed {
			t.Fatalf("at %s: changed is %v", at, !changed)
		} else {
			s = next
		}
	}
	want(lists.Unavailable, false, time.Time{}) // never loaded, which is not the same
	write(t, a, "192.0.2.1\n")
	write(t, b, "192.0.2.2\n")
	touch(t, a, epoch.Add(-10*time.Minute))
	touch(t, b, epoch.Add(-50*time.Minute))
	must(t, load(&s))
	want(lists.Matched, false, epoch.Add(10*time.Minute))
	tick(epoch.Add(10*time.Minute-1), false)
	want(lists.Matched, false, epoch.Add(10*time.Minute))
	tick(epoch.Add(10*time.Minute), true)
	want(lists.Unavailable, true, epoch.Add(10*time.Minute))
	tick(epoch.Add(11*time.Minute), false)
	tick(epoch, true) // the clock was set back
	want(lists.Matched, false, epoch.Add(10*time.Minute))
	tick(epoch.Add(20*time.Minute), true)

	// A broken edit is no news; the same content again is.
	write(t, b, "192.0.2.300\n")
	touch(t, b, now)
	if err := load(&s); err == nil {
		t.Fatal("a bad file was loaded")
	}
	want(lists.Unavailable, true, epoch.Add(10*time.Minute))
	write(t, b, "192.0.2.2\n")
	touch(t, b, epoch.Add(-50*time.Minute))
	must(t, load(&s))
	want(lists.Unavailable, true, epoch.Add(10*time.Minute)) // at once
	touch(t, b, now)
	if !changed(s) {
		t.Fatal("a touched file does not show")
	}
	must(t, load(&s))
	want(lists.Matched, false, epoch.Add(50*time.Minute)) // of a.list

	// A file cannot be younger than now.
	touch(t, a, epoch.AddDate(1, 0, 0))
	touch(t, b, epoch.AddDate(1, 0, 0))
	must(t, load(&s))
	want(lists.Matched, false, now.Add(time.Hour))
}

// Without StaleAfter a list is as old as it likes.
func TestNeverStale(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.list")
	write(t, name, "192.0.2.1\n")
	touch(t, name, time.Unix(0, 0))
	s := New(Spec{Patterns: []string{name}}, time.Now)
	must(t, load(&s))
	if s.AsOf(time.Now().AddDate(100, 0, 0)) != s || status(s, "192.0.2.1") != lists.Matched || !s.Status().ExpiresAt.IsZero() {
		t.Errorf("%+v", s.Status())
	}
}

func TestMinEntries(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.list"), "192.0.2.1\n")
	write(t, filepath.Join(dir, "2.list"), "192.0.2.2\n!192.0.2.3\n")
	s := New(Spec{Patterns: []string{filepath.Join(dir, "*.list")}, MinEntries: 2}, time.Now)
	must(t, load(&s))
	write(t, filepath.Join(dir, "1.list"), "# none\n")
	err := load(&s)
	var ps *diag.Problems
	if !errors.As(err, &ps) || ps.Total != 1 || ps.First[0].File != dir+"/1.list, "+dir+"/2.list" ||
		!strings.Contains(err.Error(), "the list has 1 entries without exceptions; min_entries is 2") || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("got %v", err)
	}
	if status(s, "192.0.2.1") != lists.Matched || s.Status().Entries != 2 {
		t.Error("the good table is gone")
	}
	write(t, filepath.Join(dir, "1.list"), "192.0.2.300\n")
	if err := load(&s); !errors.As(err, &ps) || ps.Total != 1 || ps.First[0].Line != 1 {
		t.Errorf("a bad line: got %v", err)
	}
	if _, err := New(Spec{Patterns: []string{filepath.Join(dir, "*.none")}, MinEntries: 1}, time.Now).Load(); err == nil || !strings.Contains(err.Error(), "*.none: no file matches this pattern") {
		t.Errorf("no file: got %v", err)
	}
}
