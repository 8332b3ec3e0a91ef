package logfile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// writer is a program that writes a log, and logrotate(8).
type writer struct {
	t       *testing.T
	path    string
	file    *os.File
	lines   []string // all that are complete, in order
	partial string
	clock   time.Time // the time of the last change, since that of the file system has ticks
}

func newWriter(t *testing.T, path string) *writer {
	w := &writer{t: t, path: path, clock: time.Now()}
	t.Cleanup(func() {
		if w.file != nil {
			w.file.Close()
		}
	})
	w.reopen()
	return w
}

func (w *writer) mustSucceed(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// reopen opens the file anew, as a program does that is told that it was rotated.
func (w *writer) reopen() {
	w.t.Helper()
	if w.file != nil {
		w.file.Close()
	}
	var err error
	w.file, err = os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	w.mustSucceed(err)
}

// touch gives a file a time that is newer than that of all others.
func (w *writer) touch(path string) {
	w.t.Helper()
	w.clock = w.clock.Add(time.Second)
	w.mustSucceed(os.Chtimes(path, w.clock, w.clock))
}

func (w *writer) write(text string) {
	w.t.Helper()
	_, err := w.file.WriteString(text)
	w.mustSucceed(err)
	w.touch(fmt.Sprintf("/proc/self/fd/%d", w.file.Fd()))
	whole := strings.Split(w.partial+text, "\n")
	w.lines, w.partial = append(w.lines, whole[:len(whole)-1]...), whole[len(whole)-1]
}

// shift renames the rotated parts: FILE.1 to FILE.2 and so on. The eighth is removed.
func (w *writer) shift() {
	real, err := filepath.EvalSymlinks(w.path)
	w.mustSucceed(err)
	for n := 8; n >= 1; n-- {
		_ = os.Rename(fmt.Sprintf("%s.%d", real, n), fmt.Sprintf("%s.%d", real, n+1)) // if it is there
	}
	_ = os.Remove(real + ".9")
}

// rename rotates as "create" does; the program writes late to the old file until it is told.
func (w *writer) rename(late ...string) {
	w.t.Helper()
	w.shift()
	real, err := filepath.EvalSymlinks(w.path)
	w.mustSucceed(err)
	w.mustSucceed(os.Rename(real, real+".1"))
	w.mustSucceed(os.WriteFile(real, nil, 0o600))
	w.touch(real)
	for _, l := range late {
		w.write(l)
	}
}

// copyTruncate rotates as "copytruncate" does.
func (w *writer) copyTruncate() {
	w.t.Helper()
	w.shift()
	text, err := os.ReadFile(w.path)
	w.mustSucceed(err)
	real, err := filepath.EvalSymlinks(w.path)
	w.mustSucceed(err)
	w.mustSucceed(os.WriteFile(real+".1", text, 0o600))
	w.touch(real + ".1")
	w.mustSucceed(os.Truncate(w.path, 0))
	w.touch(real)
}

// collector follows a log and keeps its lines.
type collector struct {
	*Follower
	t     *testing.T
	now   time.Time
	lines []string
}

func newCollector(t *testing.T, path string, saved []Position) *collector {
	c := &collector{Follower: Follow(path, saved), t: t, now: time.Now()}
	t.Cleanup(func() { c.Close() })
	return c
}

func (c *collector) poll(budget int64) (more bool, err error) {
	return c.Poll(c.now, budget, func(line []byte) { c.lines = append(c.lines, string(line)) })
}

// readAll reads all that there is.
func (c *collector) readAll() {
	c.t.Helper()
	for more := true; more; {
		var err error
		if more, err = c.poll(1 << 20); err != nil {
			c.t.Fatal(err)
		}
	}
}

// restart has another process continue at the saved positions.
func (c *collector) restart() {
	c.t.Helper()
	text, err := json.Marshal(c.Positions())
	if err != nil {
		c.t.Fatal(err)
	}
	var saved []Position
	if err := json.Unmarshal(text, &saved); err != nil {
		c.t.Fatal(err)
	}
	for _, p := range saved {
		if !p.IsValid() {
			c.t.Errorf("position %+v is not valid", p)
		}
	}
	c.Close()
	c.Follower = Follow(c.path, saved)
}

func (c *collector) compare(w *writer) {
	c.t.Helper()
	if slices.Equal(c.lines, w.lines) {
		return
	}
	n := 0
	for n < min(len(c.lines), len(w.lines)) && c.lines[n] == w.lines[n] {
		n++
	}
	c.t.Fatalf("%d lines were read of %d; the first that differs is %d: got %.60q, want %.60q", len(c.lines), len(w.lines), n, c.lines[n:min(n+2, len(c.lines))], w.lines[n:min(n+2, len(w.lines))])
}
