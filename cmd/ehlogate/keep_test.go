package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCommandTimeout checks that a command that hangs is ended with all its processes.
func TestCommandTimeout(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	err = execCommand(t.Context(), "echo begun; sleep 1000 & wait", 200*time.Millisecond, in, in)
	if err == nil || !strings.Contains(err.Error(), "did not end within 200ms") {
		t.Errorf("%v; want a timeout", err)
	}
	in.Close()
	if err := out.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(out); err != nil || string(text) != "begun\n" { // it ends when the last process has
		t.Errorf("%q, %v", text, err)
	}
}

// TestTimeToSettle checks that a list is waited for while it is written, also if another has a time in the future.
func TestTimeToSettle(t *testing.T) {
	dir := t.TempDir()
	now := time.Now().Round(0) // without the monotonic clock, as of a file
	for name, file := range map[string]struct {
		text string
		time time.Time
	}{
		"c.toml":       {"[[list]]\nname = \"all\"\naction = \"suppress\"\nfiles = [\"*.list\"]\n", now.Add(time.Hour)},
		"fetched.list": {"# none\n", now.Add(time.Hour)},
		"edited.list":  {"# none\n", now},
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, []byte(file.text), 0o600), os.Chtimes(path, file.time, file.time)); err != nil {
			t.Fatal(err)
		}
	}
	p, errs := loadPolicy(&options{config: filepath.Join(dir, "c.toml")})
	if errs != nil {
		t.Fatal(errs)
	}
	longest := settleTime - time.Since(now)
	wait := timeToSettle(p)
	if shortest := settleTime - time.Since(now); wait < shortest || wait > longest {
		t.Errorf("it waits for %v; want %v to %v", wait, shortest, longest)
	}
}
