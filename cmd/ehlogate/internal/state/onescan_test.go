package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An edit costs each scan one expansion of the pattern and one stat of each file, and the read neither: it opens the files
// of the snapshot that the scan handed on.
func TestReadExpandsAndStatsNothing(t *testing.T) {
	d := newDir(t, "[[list]]\nname = \"deny\"\naction = \"suppress\"\nfiles = [\"*.list\"]\n")
	d.write("a.list", "192.0.2.1\n")
	d.write("b.list", "192.0.2.2\n")
	e := d.engine()
	list := e.lists[0]
	list.settling.Quiet = e.times.quiet
	for list.needsLoad(time.Now()) { // what it read at once at the start may have to be read again
		e.followFiles(t.Context())
	}
	scanning, reading := map[string]int{}, map[string]int{}
	list.scanIO.Trace = func(call, _ string) { scanning[call]++ }
	list.loadIO.Trace = func(call, _ string) { reading[call]++ }
	before, source := e.scans, list.source
	d.write("b.edited", "192.0.2.3\n")
	edited, old := filepath.Join(d.path, "b.edited"), time.Now().Add(-time.Hour)
	if err := errors.Join(os.Chtimes(edited, old, old), os.Rename(edited, filepath.Join(d.path, "b.list"))); err != nil {
		t.Fatal(err)
	}
	for list.source == source {
		if e.followFiles(t.Context()); t.Context().Err() != nil {
			t.Fatal("the edit was not read")
		}
	}
	scans := e.scans - before
	if got := action(e, "192.0.2.3"); got != "suppress listed" || scans > 3 {
		t.Errorf("got %s after %d scans, want suppress listed after at most 3", got, scans)
	}
	if scanning["readdir"] != scans || scanning["stat"] != 2*scans || scanning["lstat"]+scanning["open"] > 0 {
		t.Errorf("%d scans at two files made the calls %v", scans, scanning)
	}
	if reading["open"] != 2 || reading["readdir"]+reading["lstat"]+reading["stat"] > 0 {
		t.Errorf("the read of two files made the calls %v", reading)
	}
}
