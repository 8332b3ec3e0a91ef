package benchmarks

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// full: measure, and do not merely show that measuring works.
var full = os.Getenv("EHLOGATE_TEST_BENCH") == "full"

// pick gives the size of something for a full run, or for one in small.
func pick[T any](forFull, inSmall T) T {
	if full {
		return forFull
	}
	return inSmall
}

// side is one of the two that are compared. Each call is one round and gives
// one figure.
type side struct {
	name    string
	measure func() float64
}

// compare measures two sides in alternating rounds, of which the first is not
// counted, and adds a row with the ratio of each round to the table. unit is
// that of the figures; goal is the ratio that should not be exceeded, 0 for a
// row that is for information.
func compare(t *testing.T, group, what, unit string, goal float64, rounds int, ours, peer side) row {
	t.Helper()
	return compareNoted(t, group, what, unit, goal, rounds, ours, peer, func() string { return "" })
}

// compareNoted is compare, with a note for the row that is made when all rounds
// are over.
func compareNoted(t *testing.T, group, what, unit string, goal float64, rounds int, ours, peer side, note func() string) row {
	t.Helper()
	r := row{group: group, what: what, unit: unit, goal: goal, peer: peer.name}
	for i := range rounds + 1 {
		var a, b float64
		if i%2 == 0 {
			a, b = ours.measure(), peer.measure()
		} else {
			b, a = peer.measure(), ours.measure()
		}
		if t.Failed() {
			t.FailNow()
		}
		if i > 0 {
			r.ours, r.theirs, r.ratios = append(r.ours, a), append(r.theirs, b), append(r.ratios, a/b)
		}
	}
	r.note = note()
	addRow(t, r)
	return r
}

// row is one line of the table.
type row struct {
	group, what, unit    string
	peer                 string
	ours, theirs, ratios []float64
	goal                 float64
	least                float64 // what should be reached, too; 0: none
	note                 string
}

// single is a row of one figure with a goal of its own, 0 for none.
func single(t *testing.T, group, what, unit string, value, goal float64, note string) {
	t.Helper()
	addRow(t, row{group: group, what: what, unit: unit, ours: []float64{value}, goal: goal, note: note})
}

var table struct {
	sync.Mutex
	rows     []row
	appendix []string // more text, with headings of its own
}

func addRow(t *testing.T, r row) {
	t.Helper()
	t.Log(r.markdown())
	table.Lock()
	defer table.Unlock()
	table.rows = append(table.rows, r)
}

// quartiles of some figures.
func quartiles(v []float64) (q1, median, q3 float64) {
	s := slices.Sorted(slices.Values(v))
	at := func(q float64) float64 {
		pos := q * float64(len(s)-1)
		lo := int(pos)
		hi := min(lo+1, len(s)-1)
		return s[lo] + (pos-float64(lo))*(s[hi]-s[lo])
	}
	return at(0.25), at(0.5), at(0.75)
}

func (r row) markdown() string {
	_, ours, _ := quartiles(r.ours)
	theirs, ratio := "", ""
	measure := ours
	if r.ratios != nil {
		_, them, _ := quartiles(r.theirs)
		theirs = number(them) + " (" + r.peer + ")"
		q1, m, q3 := quartiles(r.ratios)
		if ratio, measure = fmt.Sprintf("%.2f (%.2f to %.2f)", m, q1, q3), m; len(r.ratios) == 1 {
			ratio = fmt.Sprintf("%.2f", m)
		}
	}
	goal, met := "", ""
	switch {
	case r.least > 0 && r.goal > 0:
		goal = fmt.Sprintf("%.4g to %.4g", r.least, r.goal)
	case r.least > 0:
		goal = fmt.Sprintf("at least %.4g", r.least)
	case r.goal > 0:
		goal = fmt.Sprintf("%.4g", r.goal)
	}
	if goal != "" {
		if met = "yes"; measure < r.least || r.goal > 0 && measure > r.goal {
			met = "**no**"
		}
	}
	return fmt.Sprintf("| %s | %s | %s %s | %s | %s | %s | %s | %s |", r.group, r.what, number(ours), r.unit, theirs, ratio, goal, met, r.note)
}

// number writes a figure with three digits that say something.
func number(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// writeTable writes all rows to path, if there is one, and what comes after them.
func writeTable(path string) error {
	if path == "" {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# What it costs\n\nWritten by `make bench` on %s, with %s on %s/%s and %d processors. Do not edit.\n\n",
		time.Now().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	b.WriteString("| | What | Ours | Floor or peer | Ratio (quartiles) | Goal | Met | |\n|---|---|---:|---:|---:|---:|---|---|\n")
	for _, r := range table.rows {
		b.WriteString(r.markdown() + "\n")
	}
	for _, text := range table.appendix {
		b.WriteString("\n" + text)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// cpuTime is the CPU time that a process has used, user and system, all of its
// threads, in seconds.
func cpuTime(t testing.TB, pid int) float64 {
	t.Helper()
	// clock_getcpuclockid(3): the clock of another process, in nanoseconds,
	// where /proc counts ticks.
	const schedClock = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		t.Fatalf("CPU time of process %d: %v", pid, err)
	}
	return float64(ts.Sec) + float64(ts.Nsec)/1e9
}

// residentSet gives the resident set of a process, and the largest it ever was, in MiB.
func residentSet(t testing.TB, pid int) (now, peak float64) {
	t.Helper()
	return statusOf(t, pid, "VmRSS"), statusOf(t, pid, "VmHWM")
}

// ownMemory gives the part of the resident set that is in no file, in MiB. The rest, as the program itself, the kernel shares
// between processes, and can drop.
func ownMemory(t testing.TB, pid int) float64 {
	t.Helper()
	return statusOf(t, pid, "RssAnon")
}

// statusOf gives a size in MiB of proc_pid_status(5).
func statusOf(t testing.TB, pid int, field string) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, field+": %f kB", &kb); n == 1 {
			return kb / 1024
		}
	}
	t.Fatalf("no %s of process %d:\n%s", field, pid, text)
	return 0
}

// resetPeak makes the kernel forget the largest resident set so far, proc(5).
func resetPeak(t testing.TB, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

// measureRun runs a program, and returns the CPU seconds and the largest resident set, in MiB. Of a child that has ended,
// the kernel tells the largest resident set as that of its parent, if the parent is larger; so it is read while the child runs.
func measureRun(t *testing.T, program string, args ...string) (seconds, peak float64) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for tick := time.Tick(time.Millisecond); ; <-tick {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %v\n%.1000s", cmd.Args, err, out.Bytes())
			}
			return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), peak
		default:
		}
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)) // it may have ended
		if _, after, ok := strings.Cut(string(text), "VmHWM:"); ok {
			var kb float64
			fmt.Sscan(after, &kb)
			peak = max(peak, kb/1024)
		}
	}
}
