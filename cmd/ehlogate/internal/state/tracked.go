package state

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/diag"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
)

// trackedList is a list of files and the state of following it. A scan or a load may hang with the file system, so each
// runs in a goroutine of its own, at most one of each per list.
type trackedList struct {
	name     string
	source   *listfile.List // in use
	settling filewatch.Settler

	scanDone    chan scanResult    // nil: no scan is under way
	loadDone    chan loadResult    // nil: no load is under way
	scanIO      filewatch.Activity // of the scan
	loadIO      filewatch.Activity // of the load
	scanOverdue bool               // the scan under way missed its timeout
	blocked     error              // why the files cannot be read at present
	restless    bool               // read the files although they keep changing

	next      *listfile.List     // loaded and not in use yet
	nextFiles filewatch.Snapshot // the files that next was loaded from
	loadTime  time.Duration

	retryAt time.Time // when files that could not be read are read again
	backoff time.Duration

	logged listfile.Status // as of the last log line
}

type scanResult struct {
	files filewatch.Snapshot
	took  time.Duration
}

type loadResult struct {
	source *listfile.List
	err    error
}

// trackLists returns the lists of files in cfg, and the list of [learn] never behind them. A list in have that has the same name and files is used again.
func (m *Manager) trackLists(cfg *config.Config, have []*trackedList) (out []*trackedList) {
	all := slices.DeleteFunc(slices.Clone(cfg.Lists), func(l config.List) bool { return !l.IsOfFiles() })
	if never, ok := neverConfig(cfg); ok {
		all = append(all, never)
	}
	for _, l := range all {
		t := &trackedList{name: l.Name, source: m.uses.attach(l, listfile.New(l.Spec, m.clock)),
			settling: filewatch.Settler{Quiet: m.times.quiet, MaxWait: 10 * m.times.quiet}}
		for _, h := range have {
			if h.name == l.Name && reflect.DeepEqual(h.source.Spec(), l.Spec) {
				t = h
			}
		}
		out = append(out, t)
	}
	return out
}

// startScan starts a scan of the files (stat), unless one is under way.
func (t *trackedList) startScan() {
	if t.scanDone != nil {
		return
	}
	patterns, result := t.source.Spec().Patterns, make(chan scanResult, 1)
	t.scanDone = result
	go func() {
		start := time.Now()
		files := filewatch.StatFiles(patterns, &t.scanIO)
		result <- scanResult{files, time.Since(start)}
	}()
}

// finishScan waits for scan number n, which started at now, until the file system hangs for longer than timeout. It
// returns the duration of the scan.
func (t *trackedList) finishScan(ctx context.Context, timeout time.Duration, now time.Time, n int) (took time.Duration) {
	if t.scanOverdue {
		timeout = 0
	}
	got, err := awaitIO(ctx, t.scanDone, &t.scanIO, timeout)
	if err != nil {
		t.scanOverdue, t.blocked = true, err
		return 0
	} else if ctx.Err() != nil {
		return 0
	}
	t.scanDone, t.scanOverdue = nil, false
	select {
	case <-t.loadDone: // it hung, and its files may have changed since
		t.loadDone = nil
	default:
	}
	err = got.files.Err()
	if !filewatch.IsReadError(err) {
		err = nil // a mistake of the operator, which the load reports
	}
	if err != nil || t.loadDone != nil {
		t.blocked = cmp.Or(err, t.blocked)
		return got.took
	}
	t.blocked = nil
	t.settling.Observe(got.files, t.source.Files(), now, n)
	if t.next != nil && !t.nextFiles.Equal(got.files) {
		t.next = nil // the files changed since
	}
	return got.took
}

// awaitIO waits for a result of file operations, until one of them, as io shows, takes longer than timeout.
func awaitIO[T any](ctx context.Context, result <-chan T, io *filewatch.Activity, timeout time.Duration) (got T, err error) {
	select {
	case got = <-result:
		return got, nil
	default:
	}
	tick := time.NewTicker(max(timeout/4, time.Millisecond))
	defer tick.Stop()
	for {
		if d, name := io.Waiting(); d > timeout {
			return got, hungError(name)
		}
		select {
		case got = <-result:
			return got, nil
		case <-tick.C:
		case <-ctx.Done():
			return got, nil
		}
	}
}

// hungError returns the error for a file on a file system that does not respond.
func hungError(name string) error {
	return filewatch.ReadError{Problem: diag.Problem{File: name, Msg: "timeout: the file system does not respond",
		Hint: "check its device or file server; the file is read again when it responds"}}
}

// withStatus returns the source in use, with the present error of reading its files, if any. It returns t.source itself
// if nothing changed.
func (t *trackedList) withStatus() *listfile.List {
	had := t.source.Status().ReadErr
	switch {
	case t.blocked != nil && (had == nil || had.Error() != t.blocked.Error()):
		return t.source.WithReadError(t.blocked)
	case t.blocked == nil && had != nil && t.settling.Files.Equal(t.source.Files()):
		return t.source.WithReadError(nil)
	}
	return t.source
}

// needsLoad reports whether the files on disk differ from those in use, and may be read now.
func (t *trackedList) needsLoad(now time.Time) bool {
	return !t.settling.Files.Equal(t.source.Files()) && (t.source.Status().ReadErr == nil || !now.Before(t.retryAt))
}

func (t *trackedList) isLarge() bool {
	return t.source.Status().Entries >= largeList || t.settling.Files.TotalSize() >= largeFile
}

// loadFiles loads the files as they were at the last scan into t.next. t.next stays nil if they changed since, or if the
// file system hangs for longer than timeout.
func (t *trackedList) loadFiles(ctx context.Context, timeout time.Duration) {
	if t.next != nil || t.blocked != nil {
		return // loaded before, and the files did not change since; or not readable
	}
	files, source, result := t.settling.Files, t.source, make(chan loadResult, 1)
	start := time.Now()
	restless, large := t.restless || t.settling.IsOverdue(start), t.isLarge()
	t.loadDone = result
	go func() {
		var l loadResult
		read := func() { l.source, l.err = source.ReadSnapshot(files, &t.loadIO, restless) }
		if large {
			loadAside(read)
		} else {
			read()
		}
		result <- l
	}()
	l, err := awaitIO(ctx, result, &t.loadIO, timeout)
	if err != nil || ctx.Err() != nil {
		t.blocked = err
		return
	}
	t.loadDone, t.next, t.nextFiles, t.loadTime = nil, l.source, files, time.Since(start)
	if l.err != nil || restless {
		t.settling.ChangedSince = time.Now()
	}
	if l.err != nil && restless {
		t.next = source.WithReadError(filewatch.NewReadError("", l.err))
	}
}

func (t *trackedList) activate() {
	if t.next == nil {
		return
	}
	t.source, t.next = t.next, nil
	if t.source.Status().ReadErr == nil {
		t.backoff = 0
		return
	}
	const first, last = 100 * time.Millisecond, time.Second
	t.backoff = max(first, min(2*t.backoff, last), idleShare*t.loadTime)
	t.retryAt = time.Now().Add(t.backoff)
}

// loadError returns why the list cannot be part of a new config; nil if it can.
func (t *trackedList) loadError() error {
	switch {
	case t.blocked != nil:
		return t.blocked
	case t.next == nil:
		return errors.New("files changed while they were read: write a new file and rename it over the old one")
	}
	return t.next.Status().Fault()
}
