package replace

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// replaceText replaces the file with that name, and returns what is there then.
func replaceText(t *testing.T, name, text string, modTime time.Time) os.FileInfo {
	t.Helper()
	before, err := Find(name)
	must(t, err)
	f, err := before.Replace(Bytes([]byte(text)), modTime)
	must(t, err)
	defer f.Close()
	if got, err := os.ReadFile(name); string(got) != text || err != nil {
		t.Errorf("the file holds %q, %v; want %q", got, err, text)
	}
	info, err := os.Stat(name)
	must(t, err)
	if open, err := f.Stat(); err != nil || !os.SameFile(open, info) {
		t.Errorf("another file was returned: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(before.Path), ".*.new")); len(left) > 0 || err != nil {
		t.Errorf("%q, %v beside the file", left, err)
	}
	return info
}

// TestReplaceKeeps checks that mode, owner, attributes and symbolic links stay, and that the file is a new one.
func TestReplaceKeeps(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "table")
	must(t, os.WriteFile(name, nil, 0o600))
	must(t, os.Chmod(name, 0o640))
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // only root can give a file away
		uid, gid = 12345, 54321
		must(t, os.Chown(name, uid, gid))
	}
	const attribute = "user.ehlogate"
	extended := unix.Setxattr(name, attribute, []byte("kept"), 0)
	if extended != nil && extended != unix.ENOTSUP {
		t.Fatal(extended)
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink("table", link))
	then := time.Unix(0, 0)
	first := replaceText(t, link, "one", then)
	if st := first.Sys().(*syscall.Stat_t); first.Mode() != 0o640 || int(st.Uid) != uid || int(st.Gid) != gid || !first.ModTime().Equal(then) {
		t.Errorf("got %v, owner %d:%d, time %v; want -rw-r-----, %d:%d, %v", first.Mode(), st.Uid, st.Gid, first.ModTime(), uid, gid, then)
	}
	buf := make([]byte, 10)
	if n, err := unix.Getxattr(name, attribute, buf); extended == nil && (err != nil || string(buf[:n]) != "kept") {
		t.Errorf("attribute %q, %v", buf[:n], err)
	}
	if second := replaceText(t, link, "two", time.Time{}); os.SameFile(first, second) || time.Since(second.ModTime()) > time.Hour {
		t.Errorf("written in place, or with the time %v", second.ModTime())
	}
}

// TestReplaceNew checks a file that does not exist, by its name, and by links that lead to it.
func TestReplaceNew(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "far/sub"), 0o755))
	must(t, os.Symlink("far/sub", filepath.Join(dir, "linked")))
	must(t, os.Symlink("../table", filepath.Join(dir, "far/sub/link")))
	for name, at := range map[string]string{"table": "table", "linked/link": "far/table"} { // .. of far/sub, not of linked
		if info := replaceText(t, filepath.Join(dir, name), "new", time.Time{}); info.Mode() != 0o644 {
			t.Errorf("%s has mode %v, want -rw-r--r--", name, info.Mode())
		}
		if _, err := os.Lstat(filepath.Join(dir, at)); err != nil {
			t.Error(err)
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "linked/link")); target != "../table" || err != nil {
		t.Errorf("the link is %q, %v", target, err)
	}
	if _, err := Find(dir); err == nil {
		t.Error("a directory was found")
	}
}

// TestReplaceAfterKill checks that the draft of a killed process is used again, and that nothing else is.
func TestReplaceAfterKill(t *testing.T) {
	dir := t.TempDir()
	name, draft := filepath.Join(dir, "table"), filepath.Join(dir, ".table.new")
	must(t, os.WriteFile(draft, []byte(strings.Repeat("half ", 1000)), 0o600))
	replaceText(t, name, "whole", time.Time{})

	must(t, os.WriteFile(draft, []byte("half"), 0o644)) // of a process that had set its owner
	must(t, os.Chown(name, 65534, 65533))
	must(t, os.Chown(draft, 65534, 65533))
	replaceText(t, name, "whole", time.Time{})

	victim := filepath.Join(dir, "victim")
	obstacles := map[string]func() error{
		"a symbolic link to " + victim: func() error { return os.Symlink(victim, draft) },
		"a file with several names":    func() error { return os.Link(victim, draft) },
		"a pipe":                       func() error { return unix.Mkfifo(draft, 0o600) },
		"a directory":                  func() error { return os.Mkdir(draft, 0o700) },
		"a socket":                     func() error { return unix.Mknod(draft, unix.S_IFSOCK|0o600, 0) },
	}
	if os.Getuid() == 0 {
		obstacles["a file of the user with ID 12345"] = func() error { return errors.Join(os.WriteFile(draft, nil, 0o600), os.Chown(draft, 12345, 0)) }
	}
	for what, put := range obstacles {
		must(t, os.WriteFile(victim, []byte("kept"), 0o600))
		must(t, put())
		before, err := Find(name)
		must(t, err)
		_, err = before.Replace(Bytes([]byte("new")), time.Time{})
		if want := draft + " is " + what; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": remove it") {
			t.Errorf("%v, want %q", err, want)
		}
		for path, want := range map[string]string{name: "whole", victim: "kept"} {
			if got, err := os.ReadFile(path); string(got) != want || err != nil {
				t.Errorf("%s: %s holds %q, %v", what, path, got, err)
			}
		}
		must(t, os.Remove(draft))
	}
}

// TestReplaceAtOnce checks that of several processes that found the same file one replaces it, and that readers see whole
// texts meanwhile.
func TestReplaceAtOnce(t *testing.T) {
	name := filepath.Join(t.TempDir(), "table")
	text := func(round int) string { return strings.Repeat(string(rune('a'+round%26)), 100) }
	must(t, os.WriteFile(name, []byte(text(0)), 0o644))
	for round := 1; round <= 20; round++ {
		found, err := Find(name)
		must(t, err)
		var won atomic.Int32
		var writing sync.WaitGroup
		for range 8 {
			writing.Go(func() {
				f, err := found.Replace(Bytes([]byte(text(round))), time.Time{})
				switch {
				case err == nil:
					won.Add(1)
					f.Close()
				case !errors.Is(err, ErrChanged):
					t.Error(err)
				}
				if text, err := os.ReadFile(name); err != nil || len(text) != 100 || strings.Count(string(text), string(text[0])) != 100 {
					t.Errorf("%q, %v", text, err)
				}
			})
		}
		if writing.Wait(); won.Load() != 1 {
			t.Errorf("%d replaced it, want 1", won.Load())
		}
	}
	if left, _ := filepath.Glob(name + "/../.*"); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// TestDrafts checks that two files are replaced together: if one of them was changed meanwhile, both stay as they are.
func TestDrafts(t *testing.T) {
	dir := t.TempDir()
	for _, changed := range []bool{false, true} {
		var drafts []*Draft
		for _, name := range []string{"first", "second"} {
			path := filepath.Join(dir, name)
			must(t, os.WriteFile(path, []byte("old"), 0o644))
			found, err := Find(path)
			must(t, err)
			d, err := found.Prepare(Bytes([]byte("new")), time.Time{})
			must(t, err)
			drafts = append(drafts, d)
		}
		if changed {
			must(t, os.WriteFile(filepath.Join(dir, "second"), []byte("other"), 0o644))
		}
		want := map[bool]string{true: "old", false: "new"}[changed]
		if err := errors.Join(drafts[0].Check(), drafts[1].Check()); errors.Is(err, ErrChanged) != changed {
			t.Errorf("changed: %v: %v", changed, err)
		}
		for _, d := range drafts {
			if changed {
				d.Drop()
				continue
			}
			must(t, d.Commit())
			must(t, d.Close())
		}
		if got, err := os.ReadFile(filepath.Join(dir, "first")); string(got) != want || err != nil {
			t.Errorf("changed: %v: the first file holds %q, %v", changed, got, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}
