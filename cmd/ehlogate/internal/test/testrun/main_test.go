package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ehlogate/lists/test/testenv"
)

const root = "../../../../.."

// TestScript runs .ci/test, as it is, on a small module with a test that needs something and a test that skips itself. The
// first runs, so EHLOGATE_TEST is set; the second fails the run.
func TestScript(t *testing.T) {
	testenv.Needs(t, "gcc")
	module := t.TempDir()
	write := func(name, text string, mode fs.FileMode) {
		t.Helper()
		path := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".ci/test", "lists/test/testenv/testenv.go", "cmd/ehlogate/internal/test/testrun/main.go", "cmd/ehlogate/internal/test/testrun/again.go"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		write(name, string(text), 0o755)
	}
	write(".ci/deps", "#!/bin/sh\n", 0o755)
	write("go.mod", "module ehlogate\n\ngo 1.26\n", 0o644)
	const body = `package mtatest

import (
	"os"
	"testing"

	"ehlogate/lists/test/testenv"
)

var _ = os.Args

func TestMarked(t *testing.T) {
	testenv.Needs(t, "a moon", "a tide")
	t.Log("TestMarked ran")
	FAIL
}

func TestOther(t *testing.T) { OTHER }
`
	script := func(marked, other string, env ...string) (out string, ok bool) {
		t.Helper()
		write("cmd/ehlogate/internal/test/mtatest/x_test.go", strings.NewReplacer("FAIL", marked, "OTHER", other).Replace(body), 0o644)
		cmd := exec.Command(filepath.Join(module, ".ci/test"))
		if env != nil {
			cmd = exec.Command("go", "run", "./cmd/ehlogate/internal/test/testrun", "./...")
		}
		cmd.Dir, cmd.Env = module, append(append(os.Environ(), "EHLOGATE_TEST="), env...)
		text, err := cmd.CombinedOutput()
		return string(text), err == nil
	}
	if out, ok := script("", ""); !ok || !strings.Contains(out, "ok  \tehlogate/cmd/ehlogate/internal/test/mtatest") || strings.Contains(out, "left out") {
		t.Errorf(".ci/test with tests that pass: got success %v, want true, and\n%s", ok, out)
	}
	if out, ok := script(`t.Fatal("on purpose")`, ""); ok || !strings.Contains(out, "TestMarked ran") || !strings.Contains(out, "on purpose") {
		t.Errorf(".ci/test with a test that needs something and fails: got success %v, want false, and\n%s", ok, out)
	}
	once := func(do string) string {
		return `if err := os.Mkdir("ran", 0o700); err == nil { ` + do + ` }; if err := os.Remove("ran"); err != nil { t.Fatal(err) }`
	}
	if out, ok := script("", once(`t.Fatal("too busy")`)); !ok || !strings.Contains(out, "too busy") || !strings.Contains(out, "TestOther failed beside other tests, see above. Again, alone:\nok ") {
		t.Errorf(".ci/test with a test that fails once: got success %v, want true, and\n%s", ok, out)
	}
	// TestMarked comes first; TestOther does not run behind a crash, and must not be forgotten.
	for _, grave := range []string{`t.Fatal("WARNING: DATA RACE")`, `panic("on purpose")`, `os.Exit(1)`} {
		if err := os.RemoveAll(filepath.Join(module, "cmd/ehlogate/internal/test/mtatest/ran")); err != nil {
			t.Fatal(err)
		}
		if out, ok := script(once(grave), ""); ok || strings.Contains(out, "Again") {
			t.Errorf(".ci/test with %s: got success %v, want false, and\n%s", grave, ok, out)
		}
	}
	if out, ok := script("", `t.SkipNow()`); ok || !strings.Contains(out, "FAIL: TestOther in ehlogate/cmd/ehlogate/internal/test/mtatest was skipped") {
		t.Errorf(".ci/test with a test that skips itself: got success %v, want false, and\n%s", ok, out)
	}
	if out, ok := script(`t.Fatal("on purpose")`, "", "CI="); !ok || !strings.Contains(out, "1 tests were left out. They need:\n    1  a moon, a tide\n") {
		t.Errorf("without EHLOGATE_TEST=all: got success %v, want true, and\n%s", ok, out)
	}
	if out, ok := script("}", "", "CI="); ok || !strings.Contains(out, "expected declaration") {
		t.Errorf("a test that does not compile: got success %v, want false, and\n%s", ok, out)
	}
}

// TestOnlyOneSkips checks that testenv.Needs is the only way in which a test of this module is left out.
func TestOnlyOneSkips(t *testing.T) {
	skips := regexp.MustCompile(`\.(Skip|Skipf|SkipNow)\(|testing\.Short\(|(?m)^(\[.*\] )?skip\b`)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "build") {
			if entry != nil && entry.IsDir() && err == nil {
				return fs.SkipDir
			}
			return err
		}
		script := strings.Contains(path, "testdata/script/")
		if entry.IsDir() || !script && !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "testrun/main_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found := skips.FindAllString(string(text), -1)
		if want := strings.HasSuffix(path, "lists/test/testenv/testenv.go"); (len(found) > 0) != want {
			t.Errorf("%s: got %q, want the only call that skips a test in testenv", path, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReport checks what is printed of a run, by the events of one.
func TestReport(t *testing.T) {
	const events = `{"Action":"build-output","ImportPath":"m/c","Output":"c.go:1:1: syntax error\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"a_test.go:1: got 1, want 2\n"}
{"Action":"output","Package":"m/a","Test":"TestOne","Output":"--- FAIL: TestOne (0.00s)\n"}
{"Action":"fail","Package":"m/a","Test":"TestOne"}
{"Action":"output","Package":"m/a","Test":"TestTwo","Output":"noise\n"}
{"Action":"pass","Package":"m/a","Test":"TestTwo"}
{"Action":"output","Package":"m/a","Output":"FAIL\n"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t0.1s\n"}
{"Action":"fail","Package":"m/a"}
{"Action":"output","Package":"m/b","Output":"PASS\n"}
{"Action":"output","Package":"m/b","Output":"ok  \tm/b\t0.1s\n"}
{"Action":"pass","Package":"m/b"}
not an event
`
	const want = `c.go:1:1: syntax error
a_test.go:1: got 1, want 2
--- FAIL: TestOne (0.00s)
FAIL
FAIL	m/a	0.1s
ok  	m/b	0.1s
not an event
`
	var out bytes.Buffer
	r := report{out: &out, output: map[test][]string{}, running: map[test]bool{}}
	if err := r.readEvents(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
