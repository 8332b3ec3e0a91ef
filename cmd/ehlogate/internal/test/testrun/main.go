// Command testrun runs "go test" with the arguments that it is given and says at the end which tests were left out and what
// they need. Go itself hides that for packages that pass.
//
// With EHLOGATE_TEST=all, which .ci/test sets, nothing may be left out: a test that is skipped, by whatever means, fails
// the run. What fails there beside other tests runs once more, alone: see again. EHLOGATE_TEST_RESULTS=FILE has a line of JSON written there for each test that says what it needs: see make matrix.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"ehlogate/lists/test/testenv"
)

func main() {
	ok, err := runTests(os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// runTests runs "go test", reports to out, and reports whether the tests passed.
func runTests(out io.Writer, args []string) (ok bool, err error) {
	r, ok, err := runOnce(out, args)
	ok = r.conclude() && ok
	if failed := r.again(); !ok && err == nil && failed != nil && testenv.All() {
		ok, err = r.runAgain(args, failed)
	}
	return ok, errors.Join(err, r.writeResults(os.Getenv("EHLOGATE_TEST_RESULTS")))
}

// runOnce runs "go test" once, and reports to out.
func runOnce(out io.Writer, args []string) (r *report, ok bool, err error) {
	r = &report{out: out, output: map[test][]string{}, running: map[test]bool{}}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return r, false, err
	}
	if err := cmd.Start(); err != nil {
		return r, false, err
	}
	readErr := r.readEvents(events)
	err = cmd.Wait()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return r, false, readErr // the report says why
	}
	return r, err == nil, errors.Join(readErr, err)
}

// event is a line of "go test -json": see "go doc test2json".
type event struct {
	Action, Package, Test, Output string
}

// test is a test, or all of a package if name is empty.
type test struct{ pkg, name string }

// report prints what "go test" would print, and collects the tests that are left out.
type report struct {
	out    io.Writer
	output map[test][]string // of tests that have not ended
	left   []leftOut

	failed  []test        // with a package and no test, if the package failed otherwise: it does not compile, for example
	running map[test]bool // with tests that did not end
	grave   bool          // a data race, a leak of goroutines or a crash, behind which tests did not run
	results []result
}

// result says whether a test held that needs more than Go.
type result struct {
	Test  string
	Needs []string
	Held  bool
}

// leftOut is a test that did not run.
type leftOut struct {
	test
	needs string // "" if it did not say by testenv.Needs
}

func (r *report) readEvents(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil { // the compiler, for example
				fmt.Fprintf(r.out, "%s", line)
			} else {
				r.addEvent(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) addEvent(e event) {
	at := test{e.Package, e.Test}
	switch e.Action {
	case "run":
		r.running[at] = true
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[at] = append(r.output[at], e.Output)
		r.grave = r.grave || isGrave(e.Output)
	case "pass":
		r.endTest(at, false)
	case "fail":
		r.failed = append(r.failed, at)
		r.endTest(at, true)
	case "skip":
		if e.Test != "" { // else it is a package without tests
			r.left = append(r.left, leftOut{at, needsOf(r.output[at])})
		}
		r.endTest(at, false)
	}
}

// endTest prints the output of a test that failed, or the last line of a package.
func (r *report) endTest(at test, failed bool) {
	output := r.output[at]
	delete(r.output, at)
	delete(r.running, at)
	if needs := neededBy(output); at.name != "" && len(needs) > 0 {
		r.results = append(r.results, result{path.Base(at.pkg) + "." + at.name, needs, !failed})
	}
	if at.name == "" && !failed {
		output = slices.DeleteFunc(output, func(line string) bool { return line == "PASS\n" || !strings.Contains(line, at.pkg) })
	} else if at.name != "" && !failed {
		return
	}
	for _, line := range output {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

// neededBy returns what testenv.Needs logged that a test needs.
func neededBy(output []string) (needs []string) {
	for _, line := range output {
		if _, found, ok := strings.Cut(strings.TrimSpace(line), ": "+testenv.Needed); ok {
			needs = append(needs, strings.Split(found, ", ")...)
		}
	}
	return needs
}

// writeResults writes the results to a file, if it has a name.
func (r *report) writeResults(file string) error {
	if file == "" {
		return nil
	}
	var b bytes.Buffer
	for _, one := range r.results {
		if err := json.NewEncoder(&b).Encode(one); err != nil {
			return err
		}
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// needsOf returns what testenv.Needs wrote that a test needs.
func needsOf(output []string) string {
	for _, line := range output {
		if _, needs, ok := strings.Cut(line, testenv.LeftOut); ok {
			return strings.TrimSpace(needs)
		}
	}
	return ""
}

// conclude prints which tests were left out, and reports whether that is allowed.
func (r *report) conclude() bool {
	if len(r.left) == 0 {
		return true
	}
	if testenv.All() {
		for _, l := range r.left {
			fmt.Fprintf(r.out, "FAIL: %s in %s was skipped, although %s=all\n", l.name, l.pkg, testenv.Variable)
		}
		return false
	}
	count := map[string]int{}
	for _, l := range r.left {
		count[cmp.Or(l.needs, "what they do not say")]++
	}
	fmt.Fprintf(r.out, "\n%d tests were left out. They need:\n", len(r.left))
	for _, needs := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(r.out, "%5d  %s\n", count[needs], needs)
	}
	fmt.Fprintf(r.out, "On Debian, .ci/test installs that and runs every test.\n")
	return true
}
