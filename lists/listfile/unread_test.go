package listfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/filewatch"
)

// withoutDescriptors runs f while no file can be opened.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: old.Max}))
	defer func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)) }()
	f()
}

// An error that is not about the content leaves the files for another try, and
// is reported once.
func TestUnread(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.list")
	for what, pattern := range map[string]string{"a file": name, "a directory": filepath.Join(dir, "*.list")} {
		write(t, name, "192.0.2.1\n")
		s := New(Spec{Patterns: []string{pattern}}, time.Now)
		must(t, load(&s))
		write(t, name, "192.0.2.2\n")
		for range 2 {
			withoutDescriptors(t, func() {
				var err error
				if s, err = s.Load(); !errors.Is(err, s.Status().ReadErr) || err == nil || !strings.Contains(err.Error(), syscall.EMFILE.Error()) {
					t.Fatalf("%s: %v, %+v", what, err, s.Status())
				}
			})
		}
		if st := s.Status(); st.Failures != 1 || st.Err != nil || st.Fault() == nil || status(s, "192.0.2.1") != lists.Matched || !changed(s) {
			t.Errorf("%s: %+v, changed %v", what, st, changed(s))
		}
		must(t, load(&s))
		if st := s.Status(); st.Fault() != nil || st.Failures != 1 || status(s, "192.0.2.2") != lists.Matched || changed(s) {
			t.Errorf("%s, when it can be read: %+v", what, st)
		}
	}
}

// What a look saw is what is read, or nothing.
func TestMoving(t *testing.T) {
	for what, change := range map[string]func(name string) error{
		"written":  func(name string) error { return os.WriteFile(name, []byte("192.0.2.2\n# more\n"), 0o644) },
		"replaced": func(name string) error { return os.Rename(name+".new", name) },
		"deleted":  os.Remove,
	} {
		name := filepath.Join(t.TempDir(), "a.list")
		write(t, name, "192.0.2.1\n")
		write(t, name+".new", "192.0.2.2\n")
		s := New(Spec{Patterns: []string{name}}, time.Now)
		files := filewatch.StatFiles(s.spec.Patterns, nil)
		must(t, change(name))
		if next, err := s.ReadSnapshot(files, nil, false); next != nil || !errors.As(err, new(filewatch.ChangedError)) {
			t.Errorf("%s: %v", what, err)
		}
		gone := filewatch.StatFiles([]string{name + ".none"}, nil)
		write(t, name+".none", "192.0.2.3\n")
		s = New(Spec{Patterns: []string{name + ".none"}}, time.Now)
		if next, err := s.ReadSnapshot(gone, nil, false); next != nil || !errors.As(err, new(filewatch.ChangedError)) {
			t.Errorf("created: %v", err)
		}
	}
	// A change of owner, mode or links while it is read is none of the content.
	name := filepath.Join(t.TempDir(), "a.list")
	write(t, name, "192.0.2.1\n")
	s := New(Spec{Patterns: []string{name}}, time.Now)
	files := filewatch.StatFiles(s.spec.Patterns, nil)
	must(t, os.Chmod(name, 0o600))
	if s, err := s.ReadSnapshot(files, nil, false); err != nil || status(s, "192.0.2.1") != lists.Matched {
		t.Errorf("another mode: %v", err)
	}
}

// A feed is not new again at each load because its mtime lies in the future.
func TestFutureIsNotNew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.list")
	write(t, name, "192.0.2.1\n")
	now := time.Now()
	touch(t, name, now.AddDate(1, 0, 0))
	s := New(Spec{Patterns: []string{name}, ExpireAfter: time.Hour}, func() time.Time { return now })
	must(t, load(&s))
	first := s.Status().ExpiresAt
	if late := first.Sub(now); late <= 0 || late > time.Hour {
		t.Fatalf("it counts for %s, want at most an hour", late)
	}
	now = now.Add(30 * time.Minute)
	must(t, load(&s))
	if got := s.Status().ExpiresAt; !got.Equal(first) {
		t.Errorf("the same file counts until %s, and after another load until %s", first, got)
	}
	fresh := New(s.spec, func() time.Time { return now }) // as after a restart
	must(t, load(&fresh))
	if got := fresh.Status().ExpiresAt; !got.Equal(first) {
		t.Errorf("the same file counts until %s, and after a restart until %s", first, got)
	}
	now = first
	must(t, load(&s))
	if !s.Status().Expired || status(s, "192.0.2.1") != lists.Unavailable {
		t.Error("loaded when it is too old, it counts")
	}
}
