package listfile

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func status(s *List, addr string) lists.Status {
	return s.Lookup(lists.Client{Addr: netip.MustParseAddr(addr)}).Status
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// load lets s be what its files say now, once their stamps tell them from any
// later state.
func load(s **List) (err error) {
	for f := filewatch.StatFiles((*s).spec.Patterns, nil); !f.WithoutRacy(time.Now()).Equal(f); f = filewatch.StatFiles((*s).spec.Patterns, nil) {
		time.Sleep(time.Millisecond) // polls a condition
	}
	*s, err = (*s).Load()
	return err
}

// changed reports whether the files of s differ from those it was read from.
func changed(s *List) bool { return !s.Files().Equal(filewatch.StatFiles(s.spec.Patterns, nil)) }

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
	if status(s, "192.0.2.1") != lists.Unavailable {
		t.Error("a source is not unavailable before its first load")
	}
	if err := load(&s); err == nil || !strings.Contains(err.Error(), "create it") {
		t.Errorf("a missing file: got %v", err)
	}
	if status(s, "192.0.2.1") != lists.Unavailable {
		t.Error("a source that failed to load is not unavailable")
	}
	write(t, name, "192.0.2.1\n")
	if !changed(s) {
		t.Error("a new file does not show")
	}
	must(t, load(&s))
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
			if !changed(s) {
				t.Error("the change does not show")
			}
			err := load(&s)
			if err == nil || s.Status().Err == nil {
				t.Fatal("it was loaded")
			}
			if !strings.HasPrefix(err.Error(), name) {
				t.Errorf("the error does not begin with the file: %v", err)
			}
			if changed(s) {
				t.Error("the same fault would be loaded again and again")
			}
			if status(s, "192.0.2.1") != lists.Matched || s.Status().Entries != 1 {
				t.Error("the good table is gone")
			}
			_ = os.Remove(name)
			write(t, name, "192.0.2.1\n")
			must(t, load(&s))
		})
	}
}

// An entry is known by its place in one of several files.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.list"), "# one\n192.0.2.1\n\n192.0.2.2\n192.0.2.3\n")
	write(t, filepath.Join(dir, "2.list"), "# nothing\n")
	write(t, filepath.Join(dir, "3.list"), "192.0.2.4\n!192.0.2.5 # five\n\n\n.example.net\n192.0.2.10-192.0.2.12 until=2030-01-01 # ten\n")
	l, err := New(Spec{Patterns: []string{filepath.Join(dir, "*.list")}}, time.Now).Load()
	must(t, err)
	table := l.Table()
	for addr, want := range map[string]string{"192.0.2.1": "1.list:2 192.0.2.1 ", "192.0.2.2": "1.list:4 192.0.2.2 ", "192.0.2.3": "1.list:5 192.0.2.3 ",
		"192.0.2.4": "3.list:1 192.0.2.4 ", "192.0.2.5": "3.list:2 !192.0.2.5 five", "192.0.2.11": "3.list:6 192.0.2.10-192.0.2.12 ten", "192.0.3.0": "3.list:5 .example.net "} {
		a := netip.MustParseAddr(addr)
		id, _ := table.Lookup(lists.Client{Addr: a, Name: "mail.example.net"}, time.Now)
		e := table.Entry(id, a)
		if got := fmt.Sprintf("%s:%d %s %s", filepath.Base(e.File), e.Line, e.Text, e.Note); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	if n := len(l.Status().Files); table.Count() != 7 || n != 3 {
		t.Errorf("got %d entries in %d files, want 7 in 3", table.Count(), n)
	}
}

func TestMaxEntries(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1.list"), "192.0.2.1\n192.0.2.2\n")
	write(t, filepath.Join(dir, "2.list"), "# two\n192.0.2.3\n  192.0.2.4 # one too many\n192.0.2.300\n")
	_, err := New(Spec{Patterns: []string{filepath.Join(dir, "*.list")}, MaxEntries: 3}, time.Now).Load()
	var ps *diag.Problems
	if !errors.As(err, &ps) || ps.Total != 1 || !strings.Contains(ps.Report("error"), "2.list:3:3: error: the list has more than 3 entries") || !strings.Contains(ps.Error(), "max_entries") {
		t.Errorf("got %v", err)
	}
	if _, err := New(Spec{Patterns: []string{filepath.Join(dir, "1.list")}, MaxEntries: 2}, time.Now).Load(); err != nil {
		t.Errorf("as many as are allowed: %v", err)
	}
}

func TestGlob(t *testing.T) {
	dir := t.TempDir()
	d := filepath.Join(dir, "deny.d")
	s := New(Spec{Patterns: []string{filepath.Join(d, "*.list")}}, time.Now)
	if err := load(&s); err == nil {
		t.Error("a missing directory was loaded as an empty list")
	}
	must(t, os.Mkdir(d, 0o755))
	if err := load(&s); err == nil || !strings.Contains(err.Error(), "no file matches this pattern") || s.Table() != nil {
		t.Errorf("a directory without files: %v", err)
	}
	write(t, filepath.Join(d, "b.list"), "192.0.2.2\n!192.0.2.1\n")
	write(t, filepath.Join(d, "a.list"), "192.0.2.1\n192.0.2.3\n")
	write(t, filepath.Join(d, ".#a.list"), "what an editor leaves\n")
	write(t, filepath.Join(d, "a.list~"), "another\n")
	must(t, load(&s))
	if status(s, "192.0.2.1") != lists.Exception || status(s, "192.0.2.2") != lists.Matched || status(s, "192.0.2.3") != lists.Matched {
		t.Error("the files were not read in order of their names")
	}
	found := s.Lookup(lists.Client{Addr: netip.MustParseAddr("192.0.2.2")})
	if e := found.By.Entry(found.ID, netip.MustParseAddr("192.0.2.2")); e.File != filepath.Join(d, "b.list") || e.Line != 1 {
		t.Errorf("the entry is said to be in %s:%d", e.File, e.Line)
	}
	must(t, os.Remove(filepath.Join(d, "b.list")))
	if !changed(s) {
		t.Error("a file less does not show")
	}
	must(t, load(&s))
	if status(s, "192.0.2.2") != lists.NoMatch || status(s, "192.0.2.1") != lists.Matched {
		t.Error("entries outlive their file")
	}
	must(t, os.Remove(filepath.Join(d, "a.list")))
	if !changed(s) {
		t.Error("no file left does not show")
	}
	if err := load(&s); err == nil || status(s, "192.0.2.1") != lists.Matched || s.Status().Fault() == nil {
		t.Errorf("a list whose files are all gone: %v, %v", err, status(s, "192.0.2.1"))
	}
	write(t, filepath.Join(d, "a.list"), "# emptied on purpose\n")
	must(t, load(&s))
	if status(s, "192.0.2.1") != lists.NoMatch {
		t.Error("a comment does not empty the list")
	}
}

func mkfifo(t *testing.T, name string) {
	t.Helper()
	must(t, syscall.Mkfifo(name, 0o644))
}
