package state

import (
	"strings"
	"syscall"
	"testing"
)

// withoutDescriptors runs f while no file can be opened.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var old syscall.Rlimit
	set := func(l *syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	set(&syscall.Rlimit{Cur: 0, Max: old.Max})
	defer set(&old)
	f()
}

// A reload for which a file cannot be read, whatever is in it, is refused and
// tried again until it can be: the config itself, and a list that is new in it.
func TestReloadUnread(t *testing.T) {
	d := newDir(t, deny)
	d.write("deny.list", "192.0.2.1\n")
	e := d.engine()
	again := func(what, want string) {
		t.Helper()
		failures := e.ReloadFailures()
		for range 2 {
			e.retryAt = e.retryAt.Add(-reloadRetry)
			for e.followFiles(t.Context()); e.reload != nil; {
				e.followFiles(t.Context())
			}
			if e.ReloadError() == nil {
				t.Fatalf("%s: it went well", what)
			}
		}
		if n := e.ReloadFailures() - failures; n > 1 {
			t.Errorf("%s: one failure is counted %d times", what, n)
		}
		if !strings.Contains(e.ReloadError().Error(), syscall.EMFILE.Error()) {
			t.Errorf("%s: %v", what, e.ReloadError())
		}
		if got := action(e, "192.0.2.9"); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	succeeds := func(what, want string) {
		t.Helper()
		e.retryAt = e.retryAt.Add(-reloadRetry)
		for e.ReloadError() != nil {
			if e.followFiles(t.Context()); t.Context().Err() != nil {
				t.Fatalf("%s: %v", what, e.ReloadError())
			}
		}
		if got := action(e, "192.0.2.9"); got != want || !e.retryAt.IsZero() {
			t.Errorf("%s: %s, want %s; tried again at %v", what, got, want, e.retryAt)
		}
	}
	d.write("c.toml", deny+"[[list]]\nname = \"more\"\naction = \"suppress\"\nfiles = [\"more.list\"]\n")
	d.write("more.list", "192.0.2.9\n")
	withoutDescriptors(t, func() {
		e.beginReload(func() {})
		again("the config", "offer default")
	})
	succeeds("the config", "suppress listed")

	d.write("c.toml", deny+"[[list]]\nname = \"new\"\naction = \"require\"\nfiles = [\"*.new-list\"]\n")
	d.write("a.new-list", "192.0.2.9\n")
	e.beginReload(func() {})
	withoutDescriptors(t, func() {
		for e.reload != nil {
			e.followFiles(t.Context())
		}
		again("a new list", "suppress listed")
	})
	succeeds("a new list", "require listed")
}
