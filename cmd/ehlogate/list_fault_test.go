package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ehlogate/cmd/ehlogate/internal/listedit"
	"ehlogate/lists/test/testenv"
)

const listBefore, listAfter = "# mine\n198.51.100.0/24\n", "# mine\n198.51.100.0/24\n192.0.2.7  # "

// editFixture is a list file, its journal and its config.
type editFixture struct{ dir, conf, file, journal string }

func newEditFixture(t *testing.T, dir string) editFixture {
	f := editFixture{dir, filepath.Join(dir, "c.toml"), filepath.Join(dir, "lists/deny.list"), filepath.Join(dir, "state/edits.jsonl")}
	for _, dir := range []string{"lists", "state"} {
		if err := os.MkdirAll(filepath.Join(f.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Sprintf("edits = { journal = %q }\n[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"lists/deny.list\"]\n", f.journal)
	if err := os.WriteFile(f.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	f.reset(t)
	return f
}

func (f editFixture) reset(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(f.file, []byte(listBefore), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(f.file, 65534, 65533); err != nil {
		t.Fatal(err)
	}
}

func (f editFixture) add() []string {
	return []string{"list", "-c", f.conf, "add", "deny", "192.0.2.7"}
}

// check fails the test unless the list is as it was, or is as it should be, with its owner and mode; and the latter if the edit
// succeeded.
func (f editFixture) check(t *testing.T, what string, succeeded, killed bool) {
	t.Helper()
	text, err := os.ReadFile(f.file)
	if err != nil {
		t.Fatal(err)
	}
	isNew := strings.HasPrefix(string(text), listAfter) && strings.Count(string(text), "\n") == 3
	if !isNew && string(text) != listBefore || succeeded && !isNew || isNew && !succeeded && !killed {
		t.Errorf("%s: success %v, and the list is %q", what, succeeded, text)
	}
	owner, err := exec.Command("stat", "-c", "%u:%g %a", f.file).Output()
	if err != nil || string(owner) != "65534:65533 640\n" {
		t.Errorf("%s: the list has owner and mode %q, %v", what, owner, err)
	}
	all, err := listedit.Journal{Path: f.journal}.Read()
	if err != nil || isNew && (len(all) == 0 || len(all[len(all)-1].Hunks) == 0) {
		t.Errorf("%s: the journal has %d edits, %v", what, len(all), err)
	}
	f.reset(t) // over what a killed command left
	var stdout, stderr strings.Builder
	if code := run(t.Context(), f.add(), &stdout, &stderr); code != 0 {
		t.Fatalf("%s: the next edit fails: %s", what, &stderr)
	}
	f.reset(t)
}

// TestListEditFaults has each system call of an edit that concerns its files fail, and kills the command at each that
// changes something: the list is the old one or the new one.
func TestListEditFaults(t *testing.T) {
	testenv.Needs(t, "root", "strace")
	f := newEditFixture(t, t.TempDir())
	trace := filepath.Join(t.TempDir(), "trace")
	runTraced := func(inject ...string) (ok bool, calls string) {
		args := []string{"-f", "-o", trace}
		for _, path := range []string{f.file, filepath.Join(f.dir, "lists/.deny.list.new"), filepath.Join(f.dir, "lists"), f.journal} {
			args = append(args, "-P", path)
		}
		cmd := exec.CommandContext(t.Context(), "strace", slices.Concat(args, inject, []string{"ehlogate"}, f.add())...)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		err := cmd.Run()
		text, readErr := os.ReadFile(trace)
		if readErr != nil {
			t.Fatal(readErr)
		}
		return err == nil, string(text)
	}
	ok, calls := runTraced()
	if !ok {
		t.Fatal("the edit fails under strace")
	}
	f.check(t, "no fault", true, false)
	var names []string
	count := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\d+ +(\w+)\(`).FindAllStringSubmatch(calls, -1) {
		count[m[1]]++
		if name := m[1]; !slices.Contains(names, name) && name != "fcntl" && name != "epoll_ctl" && name != "close" {
			names = append(names, name)
		}
	}
	changing := []string{"ftruncate", "fchmod", "fchown", "write", "pwrite64", "fsync", "rename", "renameat", "unlinkat"}
	for _, must := range []string{"openat", "write", "pwrite64", "fsync", "fchown", "flock"} {
		if !slices.Contains(names, must) {
			t.Fatalf("no %s among the calls of an edit:\n%s", must, calls)
		}
	}
	faults := 0
	for _, name := range names {
		for _, fault := range []string{"error=EIO", "error=ENOSPC", "signal=KILL"} {
			if !slices.Contains(changing, name) && fault != "error=EIO" || fault == "error=ENOSPC" && !strings.HasSuffix(name, "write") && name != "pwrite64" {
				continue
			}
			for when := 1; when <= count[name]; when++ {
				what := fmt.Sprintf("%s:%s:when=%d", name, fault, when)
				ok, calls := runTraced("-e", "inject="+what)
				killed := strings.Contains(calls, "+++ killed by SIGKILL")
				if strings.Contains(calls, "(INJECTED)") || killed { // else another thread made that call
					faults++
				}
				f.check(t, what, ok, killed)
			}
		}
	}
	if t.Logf("%d faults", faults); faults < 40 {
		t.Errorf("only %d faults", faults)
	}
}

// TestListEditFullDisk edits a list on a disk that is full.
func TestListEditFullDisk(t *testing.T) {
	f := newEditFixture(t, testenv.SmallDisk(t, 64<<10))
	fill := filepath.Join(f.dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	var stdout, stderr strings.Builder
	if code := run(t.Context(), f.add(), &stdout, &stderr); code != exitWrong || !strings.Contains(stderr.String(), "no space left on device") {
		t.Errorf("code %d, %s", code, &stderr)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	f.check(t, "a full disk", false, false)
}

// TestListEditDaemon checks that a running daemon answers by an edit.
func TestListEditDaemon(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "edits.jsonl")
	d := startDaemon(t, fmt.Sprintf("guard.off = true\nedits = { journal = %q }\n%s", journal, denyList), map[string]string{"deny.list": "198.51.100.1\n"})
	edit := func(suppressed bool, args ...string) {
		t.Helper()
		runCommand(t, append([]string{"list", "-c", filepath.Join(d.dir, "c.toml")}, args...)...)
		d.waitUntil(strings.Join(args, " "), func() bool { return d.suppressed("192.0.2.7") == suppressed })
	}
	edit(true, "add", "deny", "192.0.2.7", "--for", "1h")
	edit(false, "rm", "deny", "192.0.2.7")
	edit(true, "undo")
}
