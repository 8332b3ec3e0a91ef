package state

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

// scannedList returns a list after the given number of scans, whose files changed before some of the scans.
func scannedList(t *testing.T, looks int, changedBefore ...int) *trackedList {
	name := filepath.Join(t.TempDir(), "a.list")
	spec := listfile.Spec{Patterns: []string{name}}
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := "# none\n"
	write(text)
	tr := &trackedList{source: listfile.New(spec, time.Now), settling: filewatch.Settler{Quiet: time.Hour, MaxWait: 24 * time.Hour}}
	taken, begin := filewatch.StatFiles(spec.Patterns, nil), time.Now()
	for n := 1; n <= looks; n++ {
		for _, c := range changedBefore {
			if c == n {
				text += "# more\n"
				write(text)
			}
		}
		tr.settling.Observe(filewatch.StatFiles(spec.Patterns, nil), taken, begin.Add(time.Duration(n)*time.Second), n)
	}
	return tr
}

// A change that is complete waits for each list that may have changed before it,
// and for no other. A look may see the second of two edits and not the first, and
// any time may pass until the next.
func TestHolds(t *testing.T) {
	const seen = 5 // the look that first saw the change that is complete
	for what, tc := range map[string]struct {
		changed []int
		after   time.Duration // since the change was seen
		want    bool
	}{
		"changed before":                        {[]int{4}, time.Hour, true},
		"seen by the same look":                 {[]int{5}, time.Hour, true},
		"missed by that look, seen by the next": {[]int{6}, time.Hour, true},
		"as it was when the change was there":   {[]int{7}, 0, false},
		"goes on changing, and it is early":     {[]int{4, 6, 7, 8}, 10 * time.Millisecond, true},
		"goes on changing for long":             {[]int{4, 6, 7, 8}, time.Hour, false},
		"goes on changing, and did not before":  {[]int{7, 8}, 0, false},
	} {
		e := &Manager{times: defaultTimes}
		ready, waiting := scannedList(t, 8, seen), scannedList(t, 8, tc.changed...)
		now := ready.settling.ChangedSince.Add(tc.after)
		if got := e.mustWait([]*trackedList{ready}, []*trackedList{waiting}, 0, now, now); got != tc.want {
			t.Errorf("%s: waits %v, want %v", what, got, tc.want)
		}
	}
}
