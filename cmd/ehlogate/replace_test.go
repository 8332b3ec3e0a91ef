package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestReplaceFile checks that mode, owner and symbolic link stay, that the file is a new one, and that nothing is left
// beside it.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "table"), filepath.Join(dir, "link")
	if err := os.Symlink("table", link); err != nil {
		t.Fatal(err)
	}
	write := func(through, text string, modTime time.Time) os.FileInfo {
		t.Helper()
		if err := replaceFile(through, []byte(text), modTime); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); string(got) != text || err != nil {
			t.Errorf("the file holds %q, %v; want %q", got, err, text)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // only root can give a file away
		if uid, gid = 12345, 54321; os.Chown(name, uid, gid) != nil {
			t.Fatal("cannot change the owner")
		}
	}
	then := time.Unix(0, 0)
	first := write(link, "one", then)
	if st := first.Sys().(*syscall.Stat_t); first.Mode() != 0o640 || int(st.Uid) != uid || int(st.Gid) != gid || !first.ModTime().Equal(then) {
		t.Errorf("got %v, owner %d:%d, time %v; want -rw-r-----, %d:%d, %v", first.Mode(), st.Uid, st.Gid, first.ModTime(), uid, gid, then)
	}
	if second := write(link, "two", time.Time{}); os.SameFile(first, second) || time.Since(second.ModTime()) > time.Hour {
		t.Errorf("written in place, or with the time %v", second.ModTime())
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	if info := write(name, "new", time.Time{}); info.Mode() != 0o644 {
		t.Errorf("a new file has mode %v, want -rw-r--r--", info.Mode())
	}
	if err := replaceFile(dir, nil, time.Time{}); err == nil {
		t.Error("a directory was replaced")
	}
	if all, err := os.ReadDir(dir); len(all) != 2 || err != nil {
		t.Errorf("%v, %v beside the file and its link", all, err)
	}
}
