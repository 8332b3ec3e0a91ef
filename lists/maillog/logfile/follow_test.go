package logfile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whatever is done to a log, in whatever order, and wherever the process that follows it ends, each line is read once and in
// order.
func TestFollowLosesAndRepeatsNothing(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { followRandomly(t, rand.New(rand.NewPCG(seed, 17))) })
	}
}

func followRandomly(t *testing.T, random *rand.Rand) {
	path := filepath.Join(t.TempDir(), "mail.log")
	if random.IntN(3) == 0 {
		link := filepath.Join(t.TempDir(), "maillog")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		path = link
	}
	w, number := newWriter(t, path), 0
	line := func() string {
		number++
		return fmt.Sprintf("%d %s\n", number, strings.Repeat("x", random.IntN(60)))
	}
	c := newCollector(t, path, nil)
	w.write(line())
	w.lines = nil // before the first look
	c.readAll()
	for range 120 {
		switch random.IntN(12) {
		case 0, 1, 2, 3:
			for range random.IntN(5) {
				w.write(line())
			}
		case 4: // a line in two parts
			text := line()
			w.write(text[:len(text)/2])
			if random.IntN(2) == 0 {
				_, _ = c.poll(1 << 20)
			}
			w.write(text[len(text)/2:])
		case 5:
			w.rename(line(), line())
			if random.IntN(2) == 0 {
				_, _ = c.poll(1 << 20)
				w.write(line())
			}
			w.reopen()
		case 6:
			c.readAll() // a copy of which nothing was read cannot be told from another
			w.write(line())
			c.readAll()
			w.write(line())
			w.copyTruncate()
		case 7: // removed and made anew: what was not read is gone
			c.readAll()
			real, err := filepath.EvalSymlinks(path)
			w.mustSucceed(err)
			w.mustSucceed(os.Remove(real))
			if random.IntN(2) == 0 {
				if _, err := c.poll(1 << 20); !os.IsNotExist(err) {
					t.Errorf("got %v", err)
				}
			}
			w.reopen()
			w.write(line())
		case 8: // edited in place, by a new file with the same lines
			c.readAll()
			text, err := os.ReadFile(path)
			w.mustSucceed(err)
			real, err := filepath.EvalSymlinks(path)
			w.mustSucceed(err)
			w.mustSucceed(os.WriteFile(real+"~", text, 0o600))
			w.touch(real + "~")
			w.mustSucceed(os.Rename(real+"~", real))
			w.reopen()
		case 9:
			c.restart()
		case 10:
			c.now = c.now.Add(time.Duration(random.IntN(90)) * time.Second)
			fallthrough
		default:
			_, _ = c.poll(int64(random.IntN(200)))
		}
	}
	c.readAll()
	c.compare(w)
	if n := c.Unread(); n != 0 {
		t.Errorf("%d bytes are said to be unread", n)
	}
}

// What does not exist yet is read from its beginning, what exists from its end.
func TestFollowBegins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	c := newCollector(t, path, nil)
	if _, err := c.poll(1); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
	w := newWriter(t, path)
	w.write("a\nb\n")
	c.readAll()
	c.compare(w)
	w.write("c, not com")
	c.readAll()
	other := newCollector(t, path, nil)
	other.readAll() // begins within a line, which is none
	w.write("plete\nd\n")
	c.readAll()
	c.compare(w)
	if other.readAll(); !slices.Equal(other.lines, []string{"d"}) {
		t.Errorf("got %q", other.lines)
	}
}

// While no process follows it, a log may be rotated, in which way so ever, also more than once.
func TestFollowContinues(t *testing.T) {
	for name, rotate := range map[string]func(*writer){
		"nothing":      func(*writer) {},
		"rename":       func(w *writer) { w.rename("late\n"); w.reopen() },
		"copytruncate": (*writer).copyTruncate,
		"thrice": func(w *writer) {
			w.rename()
			w.reopen()
			w.write("between\n")
			w.copyTruncate()
			w.rename()
			w.reopen()
		},
		"by date": func(w *writer) {
			w.mustSucceed(os.Rename(w.path, w.path+"-20261127"))
			w.reopen()
			w.write("next day\n")
			w.mustSucceed(os.Rename(w.path, w.path+"-20261128"))
			w.reopen()
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail.log")
			c := newCollector(t, path, nil)
			_, _ = c.poll(1)
			w := newWriter(t, path)
			w.write("first\n")
			c.readAll()
			saved := c.Positions()
			c.Close()
			w.write("unread\n")
			rotate(w)
			w.write("last\n")
			d := newCollector(t, path, saved)
			d.lines = c.lines
			d.readAll()
			d.compare(w)
			if d.TakeLost() {
				t.Error("lines are said to be lost")
			}
		})
	}
}

// A file with the inode of the log is not the log. The caller learns that lines were lost.
func TestFollowReusedInode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	w := newWriter(t, path)
	w.write("of yesterday\n")
	c := newCollector(t, path, nil)
	c.readAll()
	saved := c.Positions()
	c.Close()
	w.mustSucceed(os.WriteFile(path, []byte("of today, longer than what was there\n"), 0o600)) // the inode stays
	d := newCollector(t, path, saved)
	d.readAll()
	if !slices.Equal(d.lines, []string{"of today, longer than what was there"}) || !d.TakeLost() || d.TakeLost() {
		t.Errorf("got %q", d.lines)
	}
}

// With another number of the device, as after a restart of the machine, the log is the same.
func TestFollowOtherDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	w := newWriter(t, path)
	w.write("before\n")
	c := newCollector(t, path, nil)
	c.readAll()
	saved := c.Positions()
	saved[0].Device++
	w.lines = nil
	w.write("after\n")
	d := newCollector(t, path, saved)
	d.readAll()
	d.compare(w)
}

// A link that leads to another file each day.
func TestFollowDatedLink(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maillog")
	point := func(day string) {
		t.Helper()
		_ = os.Remove(path)
		if err := os.Symlink("maillog-"+day, path); err != nil {
			t.Fatal(err)
		}
	}
	point("20261127")
	w := newWriter(t, path)
	c := newCollector(t, path, nil)
	c.readAll()
	w.write("a\n")
	c.readAll()
	for i, day := range []string{"20261128", "20261129", "20261130"} {
		w.write("late\n")
		point(day)
		w.reopen()
		w.write(day + "\n")
		switch i {
		case 0:
			c.readAll()
		case 1:
			c.restart()
		}
	}
	c.readAll()
	c.compare(w)
}

// Several processes write one log, and some go on in the old file for a while.
func TestFollowLateWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mainlog")
	w := newWriter(t, path)
	c := newCollector(t, path, nil)
	c.readAll()
	slow, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	w.mustSucceed(err)
	defer slow.Close()
	w.write("a\n")
	w.rename()
	w.reopen()
	w.write("b\n")
	c.readAll()
	c.now = c.now.Add(lateTime / 2)
	_, err = slow.WriteString("late\n")
	w.mustSucceed(err)
	c.readAll()
	c.restart()
	c.readAll()
	_, err = slow.WriteString("later, without end")
	w.mustSucceed(err)
	c.readAll()
	c.now = c.now.Add(lateTime)
	c.readAll()
	if want := []string{"a", "b", "late", "later, without end"}; !slices.Equal(c.lines, want) {
		t.Errorf("got %q, want %q", c.lines, want)
	}
	if len(c.tails) != 1 {
		t.Errorf("%d files are open", len(c.tails))
	}
}

// A log may be rotated while it is read.
func TestFollowRotatedMeanwhile(t *testing.T) {
	long := strings.Repeat("x", readSize/4) + "\n"
	for name, rotate := range map[string]func(*writer){
		"rename":       func(w *writer) { w.rename("late\n"); w.reopen(); w.write(long + long + long) },
		"copytruncate": func(w *writer) { w.copyTruncate(); w.write(long + long + long + long + long + "y" + long + long) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail.log")
			w := newWriter(t, path)
			c := newCollector(t, path, nil)
			c.readAll()
			w.write("a\n" + long + long + long + long + long + "b\n")
			_, err := c.Poll(c.now, 1<<20, func(line []byte) {
				if c.lines = append(c.lines, string(line)); len(c.lines) == 1 {
					rotate(w)
				}
			})
			w.mustSucceed(err)
			c.readAll()
			c.compare(w)
		})
	}
}

// What comes into a new file after the look is read at the next: it may be newer than what comes into the old one meanwhile.
func TestFollowOldFileFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	w := newWriter(t, path)
	c := newCollector(t, path, nil)
	c.readAll()
	w.rename("old\n")
	_, err := c.Poll(c.now, 1<<20, func(line []byte) {
		c.lines = append(c.lines, string(line))
		w.reopen()
		w.write("new\n")
	})
	if w.mustSucceed(err); len(c.lines) != 1 {
		t.Errorf("got %q", c.lines)
	}
	c.readAll()
	c.compare(w)
}

// A program that does not append goes on where it was in a file that was truncated: it begins with zeros then.
func TestFollowHole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := newCollector(t, path, nil)
	c.readAll()
	text := strings.Repeat("x", 10*readSize) + "\n"
	for _, s := range []string{"a\n", text, "b\n"} {
		if _, err := f.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	c.readAll()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("c\nd\n"); err != nil {
		t.Fatal(err)
	}
	c.readAll()
	if want := []string{"a", text[:readSize], "b", "c", "d"}; !slices.Equal(c.lines, want) {
		t.Errorf("got %.20q, want %.20q", c.lines, want)
	}
}

// A change from dates to numbers, or back, leaves old parts whose names look newer. They are not read again.
func TestFollowMixedNames(t *testing.T) {
	for _, names := range [][]string{{"mail.log-20261101", "mail.log.1"}, {"mail.log.1", "mail.log-20261101"}} {
		path := filepath.Join(t.TempDir(), "mail.log")
		old, rotated := filepath.Join(filepath.Dir(path), names[0]), filepath.Join(filepath.Dir(path), names[1])
		before := time.Now().Add(-time.Hour)
		err := errors.Join(os.WriteFile(old, []byte("old\n"), 0o600), os.Chtimes(old, before, before), os.WriteFile(path, nil, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		c := newCollector(t, path, nil)
		c.readAll()
		w := newWriter(t, path)
		w.write("a\n")
		c.readAll()
		saved := c.Positions()
		w.write("b\n")
		if err := os.Rename(path, rotated); err != nil {
			t.Fatal(err)
		}
		w.reopen()
		w.write("c\n")
		c = newCollector(t, path, saved) // the process started again
		c.readAll()
		if want := []string{"b", "c"}; !slices.Equal(c.lines, want) {
			t.Errorf("%q: got %q, want %q", names, c.lines, want)
		}
	}
}

// What is no log is an error, and does not hang.
func TestFollowErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	for want, make := range map[string]func() error{
		"no such file":     func() error { return nil },
		"a named pipe":     func() error { return syscall.Mkfifo(path, 0o600) },
		"a directory":      func() error { return os.Mkdir(path, 0o700) },
		"not a regular":    func() error { return os.Symlink("/dev/zero", path) },
		"too many levels":  func() error { return os.Symlink(path, path) },
		"not a directory":  func() error { return os.Symlink("/dev/null/x", path) },
		"file name too lo": func() error { return os.Symlink("/"+strings.Repeat("x", 300), path) },
	} {
		_ = os.RemoveAll(path)
		if err := make(); err != nil {
			t.Fatal(err)
		}
		c := newCollector(t, path, nil)
		if _, err := c.poll(1); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A log far behind is read in pieces, and what is left is known.
func TestFollowBudget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	c := newCollector(t, path, nil)
	_, _ = c.poll(1)
	w := newWriter(t, path)
	for range 100_000 {
		w.write("a line of a log that is a day behind\n")
	}
	total := int64(100_000 * len("a line of a log that is a day behind\n"))
	before := total
	for more := true; more; {
		var err error
		if more, err = c.poll(1); err != nil {
			t.Fatal(err)
		}
		left := c.Unread()
		if before-left > readSize || more && left >= before {
			t.Fatalf("%d bytes were left, and now %d", before, left)
		}
		before = left
	}
	if c.compare(w); before != 0 {
		t.Errorf("%d bytes are left", before)
	}
}
