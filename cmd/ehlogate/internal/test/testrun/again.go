package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxAgain is how many tests may fail and run again. More than that is no accident.
const maxAgain = 24

// again returns the tests that failed, by package, if they may run again, alone: mail servers wait one second for a reply,
// and on a machine that other tests, or its neighbours, keep busy the right reply comes later than that. A data race, a
// leak, a crash, a skipped test and a package that failed without a test are what they are on a quiet machine, too.
func (r *report) again() map[string][]string {
	tests, count := map[string][]string{}, 0
	for _, f := range r.failed {
		if f.name != "" && !strings.Contains(f.name, "/") {
			tests[f.pkg], count = append(tests[f.pkg], f.name), count+1
		}
	}
	for _, f := range r.failed {
		if f.name == "" && tests[f.pkg] == nil {
			return nil
		}
	}
	if r.grave || len(r.running) > 0 || len(r.left) > 0 || count == 0 || count > maxAgain {
		return nil
	}
	return tests
}

// isGrave reports whether a line of output says what a second run must not excuse.
func isGrave(line string) bool {
	return strings.Contains(line, "DATA RACE") ||
		slices.ContainsFunc([]string{"panic: ", "fatal error: ", "goleak: "}, func(start string) bool { return strings.HasPrefix(line, start) })
}

// runAgain runs tests one after the other, says of each that it had failed before, and reports whether all passed now.
func (r *report) runAgain(args []string, tests map[string][]string) (ok bool, err error) {
	flags := args[:slices.IndexFunc(append(args, "./"), func(arg string) bool { return strings.HasPrefix(arg, "./") })]
	ok = true
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		for _, name := range tests[pkg] {
			fmt.Fprintf(r.out, "\n%s failed beside other tests, see above. Again, alone:\n", name)
			now, passed, err := runOnce(r.out, append(slices.Clone(flags), "-parallel=1", "-run=^"+name+"$", pkg))
			if err != nil {
				return false, err
			}
			ok = now.conclude() && passed && ok
			for i, before := range r.results {
				if at := slices.IndexFunc(now.results, func(n result) bool { return n.Test == before.Test }); at >= 0 {
					r.results[i] = now.results[at]
				}
			}
		}
	}
	return ok, nil
}
