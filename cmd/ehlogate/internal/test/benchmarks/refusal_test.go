package benchmarks

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/diag"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/listtest"
)

// TestRefusal reads a list that has an error in its last line, and one that is
// longer than is allowed, beside the same list without a fault.
func TestRefusal(t *testing.T) {
	entries := listtest.Hosts(pick(10_000_000, 2_000))
	dir := tempDir(t)
	good, bad := filepath.Join(dir, "good.list"), filepath.Join(dir, "bad.list")
	text := listtest.Format(entries)
	write(t, good, text+"192.0.2.1\n")
	write(t, bad, text+"192.0.2.300\n")
	last := len(entries) + 1
	read := func(name string, limit, line int) func() float64 {
		return func() float64 {
			begun := time.Now()
			_, err := listfile.New(listfile.Spec{Patterns: []string{name}, Rules: listfile.Rules{Action: lists.Suppress}, MaxEntries: limit}, time.Now).Load()
			took := time.Since(begun).Seconds()
			var ps *diag.Problems
			if line == 0 && err != nil || line > 0 && (!errors.As(err, &ps) || ps.Total != 1 || ps.First[0].Line != line) {
				t.Errorf("%s with at most %d entries: %v, expected an error in line %d", name, limit, err, line)
			}
			return took
		}
	}
	const group = "ten million lines"
	whole := side{"the same list, good", read(good, 0, 0)}
	compare(t, group, "an error in the last one: time until it is refused", "s", 1, pick(3, 1), side{"", read(bad, 0, last)}, whole)
	compare(t, group, "one more than max_entries: time until it is refused", "s", 1, pick(3, 1), side{"", read(good, last-1, last)}, whole)
}
