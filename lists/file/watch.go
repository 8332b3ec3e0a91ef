package file

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/sirupsen/logrus"
)

// Watcher tells when files of sources may have changed. It watches the
// directories, since editors and package tools replace files, and wakes up
// from time to time even if nothing was reported, since not every file system
// reports (NFS) and a watch can be lost.
type Watcher struct {
	Settle time.Duration // no report until nothing happened for so long
	Poll   time.Duration // an empty report at least so often

	fs      *fsnotify.Watcher // nil: polling only
	watched map[string]stamp
}

// NewWatcher gives a watcher with times that suit people and programs alike.
// If the kernel grants no watches, only polling is left, and log says so.
func NewWatcher(log logrus.FieldLogger) *Watcher {
	w := &Watcher{Settle: 100 * time.Millisecond, Poll: 10 * time.Second, watched: make(map[string]stamp)}
	var err error
	if w.fs, err = fsnotify.NewWatcher(); err != nil {
		log.WithError(err).Warnf("no file notification: changes of lists are found within %s", w.Poll)
	}
	return w
}

// Close gives the watches back.
func (w *Watcher) Close() {
	if w.fs != nil {
		w.fs.Close()
	}
}

// Follow makes the watcher watch what decides over the content of sources:
// the directories of their files, what those lie in, and where symbolic links
// lead. It is to be called again after every report, for links and
// directories may be others then.
func (w *Watcher) Follow(sources []*Source) {
	if w.fs == nil {
		return
	}
	want := make(map[string]stamp)
	for _, s := range sources {
		for _, dir := range s.directories() {
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				st := stampOf(info)
				want[dir] = stamp{dev: st.dev, ino: st.ino}
			}
		}
	}
	for dir, old := range w.watched {
		if want[dir] != old {
			_ = w.fs.Remove(dir) // gone already if the directory is
			delete(w.watched, dir)
		}
	}
	for dir, st := range want {
		if _, ok := w.watched[dir]; !ok && w.fs.Add(dir) == nil {
			w.watched[dir] = st
		}
	}
}

// directories gives those whose changes concern s.
func (s *Source) directories() []string {
	var dirs []string
	add := func(dir string) { dirs = append(dirs, dir, filepath.Dir(dir)) }
	for _, pattern := range s.spec.Patterns {
		dir := fixedDir(pattern)
		for add(dir); !exists(dir) && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			add(filepath.Dir(dir))
		}
	}
	for name := range s.seen {
		if name == "" {
			continue
		}
		add(filepath.Dir(name))
		if real, err := filepath.EvalSymlinks(name); err == nil && real != name {
			add(filepath.Dir(real))
		}
	}
	return dirs
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// Run reports until ctx ends: the paths that were written to, or none for a
// mere look around. It waits for the receiver.
func (w *Watcher) Run(ctx context.Context, report chan<- map[string]bool) {
	var (
		events  chan fsnotify.Event
		errs    chan error
		touched = make(map[string]bool)
		settled <-chan time.Time
		first   time.Time // of the events that are waiting
		poll    = time.NewTicker(w.Poll)
	)
	defer poll.Stop()
	if w.fs != nil {
		events, errs = w.fs.Events, w.fs.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			if e.Op != fsnotify.Chmod { // which shows in the file's times
				touched[e.Name] = true
			}
		case <-errs: // an overflow: anything may have changed
		case <-settled:
			select {
			case report <- touched:
			case <-ctx.Done():
				return
			}
			touched, settled, first = make(map[string]bool), nil, time.Time{}
			continue
		case <-poll.C:
		}
		// Who writes without a pause is heard all the same.
		if first.IsZero() {
			first = time.Now()
		}
		if settled == nil || time.Since(first) < 10*w.Settle {
			settled = time.After(w.Settle)
		}
	}
}
