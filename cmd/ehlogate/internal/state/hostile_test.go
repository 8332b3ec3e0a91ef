package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/test/testenv"
)

// run lets an engine run until the test ends.
func (d *dir) run(e *Manager) (reload chan func()) {
	ctx, cancel := context.WithTimeout(d.t.Context(), testenv.Soon)
	var wg sync.WaitGroup
	reload = make(chan func())
	wg.Go(func() { e.Run(ctx, reload) })
	d.t.Cleanup(func() { cancel(); wg.Wait() })
	return reload
}

// soon returns a context for what ought to happen soon.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Soon)
	t.Cleanup(cancel)
	return ctx
}

// await waits for an answer.
func (d *dir) await(e *Manager, what, addr, want string) {
	d.t.Helper()
	var got string
	err := testenv.Await(soon(d.t), func() (bool, error) { got = action(e, addr); return got == want, nil })
	if err != nil {
		d.t.Fatalf("%s: %s: got %q, want %q: %v\n%s", what, addr, got, want, err, d.log.String())
	}
}

// A config that cannot be read to its end takes no edit of a list away, and no
// memory.
func TestReloadOfNoFile(t *testing.T) {
	for what, put := range map[string]func(name string) error{
		"a pipe":         func(name string) error { return syscall.Mkfifo(name, 0o644) },
		"an endless one": func(name string) error { return os.Symlink("/dev/zero", name) },
		"a directory":    func(name string) error { return os.Mkdir(name, 0o755) },
		"a huge one":     func(name string) error { return os.WriteFile(name, make([]byte, 2<<20), 0o644) },
	} {
		t.Run(what, func(t *testing.T) {
			d := newDir(t, deny)
			d.write("deny.list", "192.0.2.1\n")
			e := d.engine()
			reload := d.run(e)
			name := filepath.Join(d.path, "c.toml")
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			if err := put(name); err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			reload <- func() { close(done) }
			<-done
			if e.ReloadError() == nil {
				t.Error("the reload was not refused")
			}
			d.write("deny.list", "192.0.2.2\n")
			d.await(e, "an edit after it", "192.0.2.2", "suppress listed")
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
			d.write("c.toml", deny)
			done = make(chan struct{})
			reload <- func() { close(done) }
			<-done
			if err := e.ReloadError(); err != nil {
				t.Errorf("with a good config again: %v", err)
			}
		})
	}
}

// A config that takes long to read keeps no edit of a list waiting.
func TestReloadHangs(t *testing.T) {
	d := newDir(t, deny)
	d.write("deny.list", "192.0.2.1\n")
	e := d.engine()
	e.times.hung = 20 * time.Millisecond
	load, answers := e.load, make(chan struct{})
	e.load = func() (*config.Config, error) { <-answers; return load() }
	reload := d.run(e)
	done := make(chan struct{})
	reload <- func() { close(done) }
	d.write("deny.list", "192.0.2.2\n")
	d.await(e, "an edit meanwhile", "192.0.2.2", "suppress listed")
	for e.ReloadError() == nil {
		time.Sleep(time.Millisecond) // polls a condition
	}
	if err := e.ReloadError().Error(); !strings.Contains(err, "does not respond") {
		t.Error(err)
	}
	close(answers)
	<-done
	if err := e.ReloadError(); err != nil {
		t.Errorf("when it has been read: %v", err)
	}
}

// A list that is new in a config is not taken half-written, although there is no
// older state of it.
func TestReloadWaitsForNewList(t *testing.T) {
	d := newDir(t, deny)
	d.write("deny.list", "192.0.2.0/24\n!192.0.2.9\n")
	e := d.engine()
	e.times.quiet = 200 * time.Millisecond
	d.write("c.toml", strings.Replace(deny, `"deny"`, `"renamed"`, 1))
	done := make(chan struct{})
	e.beginReload(func() { close(done) })
	name := filepath.Join(d.path, "deny.list")
	if err := os.WriteFile(name, []byte("192.0.2.0/24\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 40 { // the writer's pauses are shorter than quiet
		if e.followFiles(t.Context()); action(e, "192.0.2.9") != "offer default" || e.reload == nil {
			t.Fatalf("after %d lines it was read", i)
		}
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "198.51.100.%d\n", i)
		f.Close()
		time.Sleep(20 * time.Millisecond) // the pause of the writer
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "!192.0.2.9")
	f.Close()
	for e.reload != nil {
		e.followFiles(t.Context())
	}
	<-done
	if got := action(e, "192.0.2.9") + ", " + action(e, "192.0.2.8"); got != "offer default, suppress listed" || e.ReloadError() != nil {
		t.Errorf("%s, %v", got, e.ReloadError())
	}
}

// A list that is appended to for ever is read all the same, at the start and later,
// whatever time it takes to read.
func TestAppendedForEver(t *testing.T) {
	var long strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&long, "10.%d.%d.%d\n", i>>16, i>>8&255, i&255)
	}
	d := newDir(t, deny)
	d.write("deny.list", long.String())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		f, err := os.OpenFile(filepath.Join(d.path, "deny.list"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for i := 0; ctx.Err() == nil; i++ {
			fmt.Fprintf(f, "192.0.2.%d\n", i%250)
			time.Sleep(time.Millisecond) // the pause of the writer
		}
	})
	e := d.engine()
	if got := action(e, "10.0.0.1"); got != "suppress listed" {
		t.Errorf("at the start: %s\n%s", got, d.log.String())
	}
	d.run(e)
	d.await(e, "later", "192.0.2.249", "suppress listed")
}
