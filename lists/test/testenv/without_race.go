package testenv

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// LeaveRaceDetector goes on as the same tests without the race detector, if this program has it. TestMain of a package
// without concurrency calls it first: there the race detector finds nothing, and tests that compare with an oracle or measure
// memory take ten times as long. It ends the process with an error if the package has concurrency.
func LeaveRaceDetector() {
	if !Race {
		return
	}
	place, err := findConcurrency(".")
	if place != "" {
		err = fmt.Errorf("%s: this needs the race detector: remove LeaveRaceDetector from TestMain", place)
	}
	if err == nil {
		err = execWithoutRace()
	}
	fmt.Fprintln(os.Stderr, "running the tests without the race detector:", err)
	os.Exit(1)
}

// racePrograms is the environment variable that has tests without the race detector build the daemon with it.
const racePrograms = "EHLOGATE_TEST_RACE"

// RacePrograms reports whether tests build the daemon with the race detector.
var RacePrograms = Race || os.Getenv(racePrograms) != ""

// LeaveRaceDetectorToPrograms is as LeaveRaceDetector, for a package that plays mail servers, clients and load against a
// daemon: that is what has the race detector, and all that ships is in it. What plays against it is five times as fast without.
func LeaveRaceDetectorToPrograms() {
	if !Race {
		return
	}
	err := os.Setenv(racePrograms, "1")
	if err == nil {
		err = execWithoutRace()
	}
	fmt.Fprintln(os.Stderr, "running the tests without the race detector:", err)
	os.Exit(1)
}

// execWithoutRace replaces this process, if there is no error. The working directory is that of the package.
func execWithoutRace() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program := self + ".norace" // "go test" removes the directory
	build := exec.Command("go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as .ci/run compiles most without the race detector
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
}

// findConcurrency returns the place in a package where code that ships starts a goroutine or imports sync, or where tests
// are run in parallel; empty if there is none.
func findConcurrency(dir string) (place string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	set := token.NewFileSet()
	for _, file := range files {
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			return "", err
		}
		isTest := strings.HasSuffix(file, "_test.go")
		ast.Inspect(parsed, func(n ast.Node) bool {
			found := false
			switch n := n.(type) {
			case *ast.GoStmt:
				found = !isTest
			case *ast.ImportSpec:
				found = !isTest && strings.HasPrefix(n.Path.Value, `"sync`)
			case *ast.SelectorExpr:
				found = isTest && n.Sel.Name == "Parallel"
			}
			if found {
				place = set.Position(n.Pos()).String()
			}
			return place == ""
		})
	}
	return place, nil
}
