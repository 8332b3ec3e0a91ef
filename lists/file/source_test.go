package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"ehlogate/lists"
)

func status(s *Source, addr string) lists.Status {
	return s.Lookup(context.Background(), lists.Client{Addr: netip.MustParseAddr(addr)}).Status
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever happens to the file, the last good table answers.
func TestBrokenFileKeepsTable(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "deny.list")
	s := New(Spec{Patterns: []string{name}}, time.Now)
	if status(s, "192.0.2.1") != lists.Unloaded {
		t.Error("a source is not unloaded before its first load")
	}
	if err := s.Load(); err == nil || !strings.Contains(err.Error(), "create it") {
		t.Errorf("a missing file gives %v", err)
	}
	if status(s, "192.0.2.1") != lists.Unloaded {
		t.Error("a source that failed to load is not unloaded")
	}
	write(t, name, "192.0.2.1\n")
	if !s.Stale(nil) {
		t.Error("a new file does not show")
	}
	must(t, s.Load())
	for what, spoil := range map[string]func(){
		"a bad line":   func() { write(t, name, "192.0.2.2\n192.0.2.300\n") },
		"zero bytes":   func() { write(t, name, "") },
		"binary":       func() { write(t, name, "\x7fELF\x00") },
		"a long line":  func() { write(t, name, strings.Repeat("x", 1<<20)) },
		"missing":      func() { must(t, os.Remove(name)) },
		"a directory":  func() { must(t, os.Remove(name)); must(t, os.Mkdir(name, 0o755)) },
		"a named pipe": func() { must(t, os.Remove(name)); mkfifo(t, name) },
		"a dead link":  func() { must(t, os.Remove(name)); must(t, os.Symlink("nowhere", name)) },
	} {
		t.Run(what, func(t *testing.T) {
			spoil()
			if !s.Stale(nil) {
				t.Error("the change does not show")
			}
			err := s.Load()
			if err == nil || s.State().Err == nil {
				t.Fatal("it was loaded")
			}
			if !strings.HasPrefix(err.Error(), name) {
				t.Errorf("the error does not begin with the file: %v", err)
			}
			if s.Stale(nil) {
				t.Error("the same fault would be loaded again and again")
			}
			if status(s, "192.0.2.1") != lists.Held || s.State().Entries != 1 {
				t.Error("the good table is gone")
			}
			_ = os.Remove(name)
			write(t, name, "192.0.2.1\n")
			must(t, s.Load())
		})
	}
}

// An entry is known by its place in one of several files.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.list"), "# one\n192.0.2.1\n\n192.0.2.2\n192.0.2.3\n")
	write(t, filepath.Join(dir, "2.list"), "# nothing\n")
	write(t, filepath.Join(dir, "3.list"), "192.0.2.4\n!192.0.2.5 # five\n\n\n.example.net\n192.0.2.10-192.0.2.12 until=2030-01-01 # ten\n")
	table, err := Read(Spec{Patterns: []string{filepath.Join(dir, "*.list")}})
	must(t, err)
	for addr, want := range map[string]string{"192.0.2.1": "1.list:2 192.0.2.1 ", "192.0.2.2": "1.list:4 192.0.2.2 ", "192.0.2.3": "1.list:5 192.0.2.3 ",
		"192.0.2.4": "3.list:1 192.0.2.4 ", "192.0.2.5": "3.list:2 !192.0.2.5 five", "192.0.2.11": "3.list:6 192.0.2.10-192.0.2.12 ten", "192.0.3.0": "3.list:5 .example.net "} {
		a := netip.MustParseAddr(addr)
		id, _ := table.Lookup(lists.Client{Addr: a, Name: "mail.example.net"}, time.Now)
		e := table.Entry(id, a)
		if got := fmt.Sprintf("%s:%d %s %s", filepath.Base(e.File), e.Line, e.Text, e.Note); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if table.Len() != 7 || table.Files() != 3 {
		t.Errorf("%d entries in %d files", table.Len(), table.Files())
	}
}

func TestMaxEntries(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.list"), "192.0.2.1\n192.0.2.2\n")
	write(t, filepath.Join(dir, "2.list"), "# two\n192.0.2.3\n  192.0.2.4 # one too many\n192.0.2.300\n")
	_, err := Read(Spec{Patterns: []string{filepath.Join(dir, "*.list")}, MaxEntries: 3})
	var ps *Problems
	if !errors.As(err, &ps) || ps.Total != 1 || !strings.Contains(ps.Show("error"), "2.list:3:3: error: the list has more than 3 entries") || !strings.Contains(ps.Error(), "max_entries") {
		t.Errorf("got %v", err)
	}
	if _, err := Read(Spec{Patterns: []string{filepath.Join(dir, "1.list")}, MaxEntries: 2}); err != nil {
		t.Errorf("as many as are allowed: %v", err)
	}
}

func TestGlob(t *testing.T) {
	dir := t.TempDir()
	d := filepath.Join(dir, "deny.d")
	s := New(Spec{Patterns: []string{filepath.Join(d, "*.list")}}, time.Now)
	if err := s.Load(); err == nil {
		t.Error("a missing directory was loaded as an empty list")
	}
	must(t, os.Mkdir(d, 0o755))
	must(t, s.Load()) // a drop-in directory without files
	write(t, filepath.Join(d, "b.list"), "192.0.2.2\n!192.0.2.1\n")
	write(t, filepath.Join(d, "a.list"), "192.0.2.1\n192.0.2.3\n")
	write(t, filepath.Join(d, ".#a.list"), "what an editor leaves\n")
	write(t, filepath.Join(d, "a.list~"), "another\n")
	must(t, s.Load())
	if status(s, "192.0.2.1") != lists.Excepted || status(s, "192.0.2.2") != lists.Held || status(s, "192.0.2.3") != lists.Held {
		t.Error("the files were not read in order of their names")
	}
	found := s.Lookup(t.Context(), lists.Client{Addr: netip.MustParseAddr("192.0.2.2")})
	if e := found.By.Entry(found.ID, netip.MustParseAddr("192.0.2.2")); e.File != filepath.Join(d, "b.list") || e.Line != 1 {
		t.Errorf("the entry is said to be in %s:%d", e.File, e.Line)
	}
	must(t, os.Remove(filepath.Join(d, "b.list")))
	if !s.Stale(nil) {
		t.Error("a file less does not show")
	}
	must(t, s.Load())
	if status(s, "192.0.2.2") != lists.Absent || status(s, "192.0.2.1") != lists.Held {
		t.Error("entries outlive their file")
	}
}

// Every way in which operators and their tools change a file is found by
// notification: polling is off in this test.
func TestWatch(t *testing.T) {
	defer goleak.VerifyNone(t)
	log := logrus.New()
	log.SetOutput(io.Discard)
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "v1"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "v2"), 0o755))
	plain, stranger := filepath.Join(dir, "etc", "plain.list"), filepath.Join(dir, "etc", "x.log")
	write(t, plain, "# none\n")
	write(t, stranger, "")
	write(t, filepath.Join(dir, "v1", "linked.list"), "# none\n")
	must(t, os.Symlink("v1", filepath.Join(dir, "current")))
	linked := filepath.Join(dir, "etc", "linked.list")
	must(t, os.Symlink("../current/linked.list", linked))
	s := New(Spec{Patterns: []string{plain, linked, filepath.Join(dir, "etc", "d", "*.list")}}, time.Now)
	must(t, os.Mkdir(filepath.Join(dir, "etc", "d"), 0o755))
	must(t, s.Load())

	w := NewWatcher(log)
	w.Settle, w.Quiet, w.Poll = 5*time.Millisecond, 20*time.Millisecond, time.Hour
	defer w.Close()
	w.Follow([]*Source{s})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	report := make(chan map[string]bool)
	done := make(chan struct{})
	go func() { w.Run(ctx, report); close(done) }()
	defer func() { cancel(); <-done }()

	await := func(addr string, want lists.Status) {
		t.Helper()
		for status(s, addr) != want {
			select {
			case touched := <-report:
				if s.Stale(touched) {
					_ = s.Load()
				}
				w.Follow([]*Source{s})
			case <-ctx.Done():
				t.Fatalf("%s: the change was not noticed", addr)
			}
		}
	}
	edit := func(name, text string) { // in place
		t.Helper()
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o644)
		must(t, err)
		_, err = f.WriteString(text)
		must(t, err)
		must(t, f.Close())
	}
	replace := func(name, text string) {
		t.Helper()
		write(t, name+".new", text)
		must(t, os.Rename(name+".new", name))
	}
	edit(plain, "192.0.2.1\n")
	await("192.0.2.1", lists.Held)
	edit(plain, "192.0.2.2\n") // the same size
	await("192.0.2.2", lists.Held)
	replace(plain, "192.0.2.3\n")
	await("192.0.2.3", lists.Held)
	edit(plain, "192.0.2.4\n") // the new file is watched too
	await("192.0.2.4", lists.Held)

	// Who logs beside the lists is none of our business.
	edit(stranger, "a line\n")
	edit(plain, "192.0.2.40\n")
	for touched := range report {
		edit(stranger, "another line\n") // which must not put off the next report for ever
		if touched[plain] {
			break
		}
	}

	// A slow writer is not read half-way: Quiet is longer than its pauses.
	slow, err := os.OpenFile(plain, os.O_WRONLY|os.O_TRUNC, 0o644)
	must(t, err)
	for _, part := range []string{"192.0.2.41\n", "192.0.2.42\n", "192.0.2.43\n"} {
		_, err := slow.WriteString(part)
		must(t, err)
		select {
		case <-report:
			t.Error("a change is reported while the file is being written")
		case <-time.After(w.Quiet / 4): // the pause of the writer
		}
	}
	must(t, slow.Close())
	await("192.0.2.43", lists.Held)

	edit(filepath.Join(dir, "v1", "linked.list"), "192.0.2.5\n") // behind two links
	await("192.0.2.5", lists.Held)
	write(t, filepath.Join(dir, "v2", "linked.list"), "192.0.2.6\n")
	must(t, os.Symlink("v2", filepath.Join(dir, "current.new")))
	must(t, os.Rename(filepath.Join(dir, "current.new"), filepath.Join(dir, "current")))
	await("192.0.2.6", lists.Held)

	edit(filepath.Join(dir, "etc", "d", "x.list"), "192.0.2.7\n")
	await("192.0.2.7", lists.Held)
	must(t, os.Remove(filepath.Join(dir, "etc", "d", "x.list")))
	await("192.0.2.7", lists.Absent)

	// Deleted and back, alone and with its directory.
	must(t, os.Remove(plain))
	edit(plain, "192.0.2.8\n")
	await("192.0.2.8", lists.Held)
	must(t, os.Rename(filepath.Join(dir, "etc"), filepath.Join(dir, "old")))
	await("192.0.2.8", lists.Held)
	must(t, os.MkdirAll(filepath.Join(dir, "new", "d"), 0o755))
	write(t, filepath.Join(dir, "new", "plain.list"), "192.0.2.9\n")
	must(t, os.Symlink("../current/linked.list", filepath.Join(dir, "new", "linked.list")))
	must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "etc")))
	await("192.0.2.9", lists.Held)
	edit(plain, "192.0.2.10\n")
	await("192.0.2.10", lists.Held)
	if status(s, "192.0.2.9") != lists.Absent {
		t.Error("an old entry is left")
	}
}

// A file is reported under one of the names by which it is reached; that of a
// list with a pattern is not read half-way either.
func TestWatchThroughLink(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755))
	must(t, os.Symlink("data", filepath.Join(dir, "lists")))
	write(t, filepath.Join(dir, "data", "a.list"), "192.0.2.1\n")
	s := New(Spec{Patterns: []string{dir + "//lists/*.list"}}, time.Now)
	must(t, s.Load())
	w := NewWatcher(logrus.New())
	w.Settle, w.Quiet, w.Poll = 10*time.Millisecond, 400*time.Millisecond, time.Hour
	defer w.Close()
	w.Follow([]*Source{s})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	report, done := make(chan map[string]bool), make(chan struct{})
	go func() { w.Run(ctx, report); close(done) }()
	defer func() { cancel(); <-done }()

	f, err := os.Create(filepath.Join(dir, "data", "b.list"))
	must(t, err)
	for range 5 {
		_, err := f.WriteString("192.0.2.2\n")
		must(t, err)
		select {
		case <-report:
			t.Fatal("a change is reported while the file is being written")
		case <-time.After(2 * w.Settle): // the pause of the writer
		}
	}
	must(t, f.Close())
	if !s.Stale(<-report) {
		t.Error("the new file does not show")
	}
}

// Without notification, polling finds the change.
func TestWatchPolls(t *testing.T) {
	defer goleak.VerifyNone(t)
	name := filepath.Join(t.TempDir(), "x.list")
	write(t, name, "# none\n")
	s := New(Spec{Patterns: []string{name}}, time.Now)
	must(t, s.Load())
	w := &Watcher{Settle: time.Millisecond, Poll: 5 * time.Millisecond}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	report := make(chan map[string]bool)
	done := make(chan struct{})
	go func() { w.Run(ctx, report); close(done) }()
	defer func() { cancel(); <-done }()
	w.Follow([]*Source{s})
	write(t, name, "192.0.2.1\n")
	for status(s, "192.0.2.1") != lists.Held {
		select {
		case touched := <-report:
			if s.Stale(touched) {
				must(t, s.Load())
			}
		case <-ctx.Done():
			t.Fatal("polling found nothing")
		}
	}
}

func mkfifo(t *testing.T, name string) {
	t.Helper()
	must(t, syscall.Mkfifo(name, 0o644))
}
