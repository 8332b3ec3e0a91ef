package learn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/learnstore"
	"ehlogate/lists/test/testenv"
)

// A full disk costs nothing that was learned, and what came meanwhile is learned once there is space. Entries end in time.
func TestFullDisk(t *testing.T) {
	disk := testenv.SmallDisk(t, 1<<20)
	synctest.Test(t, func(t *testing.T) {
		o := options(filepath.Join(disk, "learned.db"))
		b := newBench(t, o)
		b.run()
		b.learnPrinter()
		filler := filepath.Join(disk, "filler")
		if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
		other := printer.Next()
		for i := range 400 { // until a transaction needs more space
			addr := other
			for range i {
				addr = addr.Next()
			}
			b.fail(addr)
		}
		time.Sleep(5 * time.Second)
		st := b.Status()
		if !st.IsDegraded() || !strings.Contains(st.Error, "no space left on device") || !b.has(StoreFailed) || b.has(StoreWorks) {
			t.Fatalf("%+v, %v", st, b.kinds())
		}
		if !b.suppresses(printer) {
			t.Error("the client is free")
		}
		if _, err := b.Client(t.Context(), printer); err != nil {
			t.Errorf("it cannot be read either: %v", err)
		}
		time.Sleep(o.Fallback.Life)
		if b.suppresses(printer) {
			t.Error("an entry lives longer while the disk is full")
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * maxRetry)
		if st := b.Status(); st.Error != "" && st.Breaker == "" || !b.has(StoreWorks) {
			t.Errorf("%+v, %v", st, b.kinds())
		}
		report, err := b.Report(t.Context())
		if err != nil || report.Fallback.Evidence < 400 {
			t.Errorf("%d clients, %v", report.Fallback.Evidence, err)
		}
	})
}

// While another process has the file, lists are empty, and not unavailable. Then they learn.
func TestLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := statePath(t)
		other, err := learnstore.Open(path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, options(path))
		b.run()
		time.Sleep(5 * time.Second)
		if st := b.Status(); !strings.Contains(st.Error, learnstore.ErrLocked.Error()) || !b.has(StoreFailed) || b.earns(printer) != lists.NoMatch {
			t.Errorf("%+v, %v, %v", st, b.kinds(), b.earns(printer))
		}
		if _, err := b.Report(t.Context()); err == nil {
			t.Error("there is a report")
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * maxRetry)
		if st := b.Status(); st.IsDegraded() || !b.has(StoreWorks) {
			t.Errorf("%+v, %v", st, b.kinds())
		}
		b.learnPrinter()
	})
}

// A file that cannot be used, be it from the start or from some moment on, is put aside, and lists learn.
func TestAside(t *testing.T) {
	for name, running := range map[string]bool{"at start": false, "while it runs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := statePath(t)
				b := newBench(t, options(path))
				if running {
					b.run()
					b.learnPrinter()
					b.must(os.Truncate(path, 4096))
					b.fail(printer.Next())
				} else {
					b.write(path, "this is no database")
					b.run()
				}
				time.Sleep(2 * maxRetry)
				st := b.Status()
				if !b.has(StoreAside) || b.has(StoreFailed) != running || st.Aside == "" || !strings.Contains(st.Error, st.Aside) {
					t.Fatalf("%+v, %v", st, b.kinds())
				}
				if running {
					time.Sleep(2 * time.Hour) // of the breaker
				}
				b.learnPrinter()
				synctest.Wait() // for the transaction that runs; else the clock makes it a slow one
				b.wall.Add(int64(alarmTime))
				if st := b.Status(); st.IsDegraded() {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A mistake in this program while it learns is reported with its place, and learning goes on.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, options(statePath(t)))
		b.environments.Standing = nil
		b.Service = New(b.options, b.environments, nil)
		b.environment.Never = panicking{}
		b.run()
		b.fail(printer)
		time.Sleep(3 * time.Second)
		b.mu.Lock()
		found := false
		for _, e := range b.events {
			found = found || e.Kind == StoreFailed && strings.Contains(string(e.Stack), "panicking") && errors.Is(e.Err, learnstore.ErrBroken)
		}
		b.mu.Unlock()
		if !found {
			t.Errorf("%v", b.kinds())
		}
	})
}

type panicking struct{}

func (panicking) Lookup(lists.Client) lists.Match { panic("on purpose") }

// A file system that does not respond delays no answer, no session and not the end, and is shown.
func TestHung(t *testing.T) {
	dir, release := testenv.HungDir(t)
	b := newBench(t, options(filepath.Join(dir, "learned.db")))
	b.run()
	begin := time.Now()
	for range 2 * maxQueued {
		b.fail(printer)
		b.suppresses(printer)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("sessions and answers took %v", took)
	}
	b.wall.Add(int64(2 * hangTime))
	if st := b.Status(); !strings.Contains(st.Error, "does not respond") {
		t.Errorf("%+v", st)
	}
	begin = time.Now()
	if _, err := b.Client(context.Background(), printer); !errors.Is(err, errBusy) {
		t.Errorf("%v", err)
	}
	if took := time.Since(begin); took > queryTime+time.Second {
		t.Errorf("a report took %v", took)
	}
	begin = time.Now()
	b.stop()
	if took := time.Since(begin); took > stopTime+time.Second {
		t.Errorf("the end took %v", took)
	}
	release()
}

// An entry ends in time even if nothing but lookups goes on any more.
func TestStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, options(statePath(t)))
		b.run()
		b.learnPrinter()
		b.stop()
		time.Sleep(b.options.Fallback.Life)
		if b.suppresses(printer) {
			t.Error("an entry lives longer than the service")
		}
	})
}

// A service that was left behind by a file system that did not respond publishes nothing any more.
func TestAbandoned(t *testing.T) {
	b := newBench(t, options(statePath(t)))
	b.lists.abandon()
	b.Clear()
	if got := b.earns(printer); got != lists.Unavailable {
		t.Errorf("got %v", got)
	}
}

// The stamp of files differs with each change of one, and with no other.
func TestStampFiles(t *testing.T) {
	dir := t.TempDir()
	pattern := filepath.Join(dir, "*.pem")
	seen := map[string]string{stampFiles(pattern): "none"}
	for i, change := range []func(string) error{
		func(p string) error { return os.WriteFile(p, []byte("one"), 0o600) },
		func(p string) error { return os.WriteFile(p, []byte("three"), 0o600) },
		func(p string) error {
			return errors.Join(os.WriteFile(p+".new", []byte("three"), 0o600), os.Chtimes(p+".new", time.Unix(1, 0), time.Unix(1, 0)), os.Rename(p+".new", p))
		},
		func(p string) error { return os.Chtimes(p, time.Unix(2, 0), time.Unix(2, 0)) },
		func(p string) error { return os.Rename(p, filepath.Join(dir, "b.pem")) },
	} {
		if err := change(filepath.Join(dir, "a.pem")); err != nil {
			t.Fatal(err)
		}
		stamp := stampFiles(pattern)
		if before, ok := seen[stamp]; ok {
			t.Errorf("change %d is not seen: as after %s", i, before)
		}
		if stampFiles(pattern) != stamp {
			t.Error("a stamp changes by itself")
		}
		seen[stamp] = fmt.Sprint("change ", i)
	}
}

// With the store, the time is lost for which logs were followed: fallback lists observe again until they know which clients
// can do TLS. So it is if the store broke while it was in use, and if the settings name another one.
func TestTimeIsLostWithStore(t *testing.T) {
	for name, lose := range map[string]func(b *bench, path string){
		"broken": func(b *bench, path string) {
			b.must(os.Remove(path))
			b.panics.Store(true)
			b.fail(printer.Next())
			time.Sleep(1500 * time.Millisecond)
			b.panics.Store(false)
		},
		"other settings": func(b *bench, path string) {
			b.stop()
			o := options(path + ".other")
			b.Service = New(o, b.environments, b.Service)
			b.run()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := statePath(t)
				b := newBench(t, options(path))
				b.run()
				time.Sleep(2 * b.options.ObserveFor)
				b.learnPrinter()
				if !b.Enforces() {
					t.Fatal("the list does not count")
				}
				lose(b, path)
				time.Sleep(2 * maxRetry)
				if followed, known := b.Followed(); !known || followed > 2*maxRetry+time.Second || b.Enforces() || b.suppresses(printer) {
					t.Errorf("followed for %v, %v; suppressed: %v", followed, known, b.suppresses(printer))
				}
				time.Sleep(b.options.ObserveFor)
				if !b.Enforces() {
					t.Error("the list never counts again")
				}
			})
		})
	}
}
