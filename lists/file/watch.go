package file

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	Quiet  time.Duration // nor, if a list was written to in place, for so long: it may not be whole yet
	Poll   time.Duration // an empty report at least so often

	log     logrus.FieldLogger
	fs      *fsnotify.Watcher // nil: polling only
	watched map[string]stamp
	missed  bool // a watch was refused, which was logged
	ours    atomic.Pointer[ours]
}

// ours are the names, without directories, of what lists are made of. A file
// may be reached through several directories, and is reported in one of them.
type ours struct {
	patterns []string
	files    map[string]bool // those that were there, and what they lead to
}

// NewWatcher gives a watcher with times that suit people and programs alike.
// If the kernel grants no watches, only polling is left, and log says so.
func NewWatcher(log logrus.FieldLogger) *Watcher {
	w := &Watcher{Settle: 100 * time.Millisecond, Quiet: time.Second, Poll: 10 * time.Second, log: log, watched: make(map[string]stamp)}
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
	o := &ours{files: make(map[string]bool)}
	for _, s := range sources {
		for _, pattern := range s.spec.Patterns {
			o.patterns = append(o.patterns, filepath.Base(pattern))
		}
		for name := range s.seen {
			for _, link := range append(links(name), name) {
				o.files[filepath.Base(link)] = true
			}
		}
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
		if _, ok := w.watched[dir]; ok {
			continue
		}
		if err := w.fs.Add(dir); err == nil {
			w.watched[dir] = st
		} else if !w.missed && !os.IsNotExist(err) {
			w.missed = true
			w.log.WithError(err).Warnf("no file notification for %s: changes there are found within %s (sysctl fs.inotify.max_user_watches)", dir, w.Poll)
		}
	}
	w.ours.Store(o)
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
		for _, link := range links(name) {
			add(filepath.Dir(link))
		}
	}
	return dirs
}

// links gives the symbolic links on the way to a file, and the file at their
// end: when one of them is replaced the name stands for another file.
func links(name string) (found []string) {
	const most = 40 // as many as the kernel follows
	for at, rest := "/", strings.Split(name, "/"); len(rest) > 0 && len(found) < most; {
		at, rest = filepath.Join(at, rest[0]), rest[1:]
		target, err := os.Readlink(at)
		if err != nil {
			continue // no link, or gone
		}
		found = append(found, at)
		if rest = append(strings.Split(target, "/"), rest...); filepath.IsAbs(target) {
			at = "/"
		} else {
			at = filepath.Dir(at)
		}
		if len(rest) > 0 {
			found = append(found, filepath.Join(at, filepath.Join(rest...)))
		}
	}
	return found
}

// concerns says whether a path may be that of a list.
func (w *Watcher) concerns(path string) bool {
	o, name := w.ours.Load(), filepath.Base(path)
	if o == nil || o.files[name] {
		return true
	}
	for _, p := range o.patterns {
		if ok, _ := filepath.Match(p, name); ok {
			return true
		}
	}
	return false
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
		pause   time.Duration
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
			if e.Has(fsnotify.Write) {
				if w.concerns(e.Name) {
					pause = w.Quiet
				} else if settled != nil {
					continue // a log beside the lists, say, which may never be quiet
				}
			}
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
			touched, settled, first, pause = make(map[string]bool), nil, time.Time{}, 0
			continue
		case <-poll.C:
		}
		// Who writes without a pause is heard all the same.
		if first.IsZero() {
			first = time.Now()
		}
		pause = max(pause, w.Settle)
		if settled == nil || time.Since(first) < 10*pause {
			settled = time.After(pause)
		}
	}
}
