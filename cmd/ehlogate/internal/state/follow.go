package state

import (
	"context"
	"slices"
	"time"
)

// How the lists are followed
//
// The files of all lists are scanned (stat) four times a second, and more often while they change. Notifications such as
// inotify would miss changes (see Settler in package lists/filewatch). A new state replaces the one in use when a scan
// shows a complete change.
//
// Edits of several lists take effect in the order in which they were made. A scan takes time, so it may see the second of
// two edits and miss the first. So an edit is read only when two scans in a row saw the same files: between the two, the
// disk was in that state. Everything that differs from the state in use is then loaded, and replaces it in one step.
//
// A complete change waits for another list that changed and is not complete, unless a scan that saw the first change
// began before the other list changed. There are two exceptions: a list that keeps changing delays others by at most
// times.hold, and a list whose file system hangs delays no other.

// times are the periods by which lists are followed.
type times struct {
	idle  time.Duration // pause between two scans
	busy  time.Duration // the same while something changes
	quiet time.Duration // filewatch.Settler.Quiet
	hold  time.Duration // how long a complete change waits for others at most
	hung  time.Duration // how long a scan or a load waits for a file system that hangs
}

var defaultTimes = times{idle: 250 * time.Millisecond, busy: 50 * time.Millisecond,
	quiet: time.Second, hold: 1100 * time.Millisecond, hung: 300 * time.Millisecond}

const (
	// idleShare: scans take at most one part in so many of the time of one CPU, however many files there are. Beyond
	// that the pauses become longer, up to maxPause.
	idleShare = 50
	busyShare = 5 // the same while something changes
	maxPause  = 10 * time.Second
	// startTimeout is how long a file system may hang at the start.
	startTimeout = 5 * time.Second
)

// followFiles scans the files of all lists and updates the snapshot. It returns the pause until the next call.
func (m *Manager) followFiles(ctx context.Context) (pause time.Duration) {
	all := slices.Clone(m.lists)
	if m.reload == nil && !m.retryAt.IsZero() && !time.Now().Before(m.retryAt) {
		m.beginReload()
	}
	if m.reload != nil {
		m.awaitConfig()
	}
	if m.reload != nil {
		for _, t := range m.reload.lists {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	took := m.scanAll(ctx, all, m.times.hung)
	if ctx.Err() != nil {
		return 0
	}
	pause = m.scanPause(min(took, m.lastScan))
	m.lastScan = took
	m.updateStatus()
	m.updateLearnedMode()
	if m.reload != nil && m.reload.config != nil {
		m.tryReload(ctx)
	} else {
		m.updateLists(ctx)
	}
	return pause
}

// scanPause returns the pause until the next scan, for scans of the given duration.
func (m *Manager) scanPause(took time.Duration) time.Duration {
	changing := func(t *trackedList) bool {
		return t.blocked == nil && t.source.Status().ReadErr == nil && !(t.settling.IsStable() && t.settling.ChangedSince.IsZero())
	}
	if m.reload != nil || slices.ContainsFunc(m.lists, changing) {
		return max(m.times.busy, min(busyShare*took, maxPause))
	}
	return max(m.times.idle, min(idleShare*took, maxPause))
}

// scanAll scans the files of all lists, which run in parallel since each may hang by itself. Every scan begins after the
// previous ones ended.
func (m *Manager) scanAll(ctx context.Context, all []*trackedList, timeout time.Duration) (took time.Duration) {
	m.scans++
	now := time.Now()
	for _, t := range all {
		t.startScan()
	}
	for _, t := range all {
		took += t.finishScan(ctx, timeout, now, m.scans)
	}
	return took
}

// updateStatus publishes which lists expired and which files cannot be read, if that changed.
func (m *Manager) updateStatus() {
	var changed []*trackedList
	now := m.clock()
	for _, t := range m.lists {
		if s := t.withStatus().AsOf(now); s != t.source {
			t.source = s
			changed = append(changed, t)
		}
	}
	if len(changed) > 0 {
		m.publish(m.Snapshot().withFiles(m.lists))
		m.logChanges(changed)
	}
}

// updateLists loads and publishes the lists that changed, if the change is complete.
func (m *Manager) updateLists(ctx context.Context) {
	now := time.Now()
	ready, waiting := sortReady(m.lists, now, (*trackedList).needsLoad)
	if len(ready) == 0 || m.mustWait(ready, waiting, 0, now, now) {
		return
	}
	if !m.loadAll(ctx, ready) {
		return // some changed again; the others keep what they loaded for the next call
	}
	for _, t := range ready {
		t.activate()
	}
	m.publish(m.Snapshot().withFiles(m.lists))
	m.logChanges(ready)
}

// sortReady returns the wanted lists whose files are complete, and the lists whose state is not certain yet.
func sortReady(all []*trackedList, now time.Time, wanted func(*trackedList, time.Time) bool) (ready, waiting []*trackedList) {
	for _, t := range all {
		switch {
		case t.blocked != nil:
		case wanted(t, now) && t.settling.IsComplete(t.source.Files(), now):
			ready = append(ready, t)
		case wanted(t, now) || !t.settling.IsStable():
			waiting = append(waiting, t)
		}
	}
	return ready, waiting
}

// mustWait reports whether the ready lists must wait for others: for those that may have changed before the last change
// of a ready list, or before the end of scan number from. since is when the wait began, if it began before the changes.
func (m *Manager) mustWait(ready, waiting []*trackedList, from int, since, now time.Time) bool {
	last := from
	for _, t := range ready {
		last = max(last, t.settling.LastChange)
		if c := t.settling.ChangedSince; !c.IsZero() && c.Before(since) {
			since = c
		}
	}
	return slices.ContainsFunc(waiting, func(t *trackedList) bool {
		switch {
		case t.settling.LastUnchanged > last:
			return false // it changed later
		case t.settling.LastChange <= last+1:
			return true // it will be complete, unless it changes again
		}
		return now.Sub(since) < m.times.hold
	})
}

// loadAll loads lists, one after another. complete is false if the files of one of them changed since the last scan.
func (m *Manager) loadAll(ctx context.Context, all []*trackedList) (complete bool) {
	complete = true
	for _, t := range all {
		m.large = m.large || t.isLarge()
		t.loadFiles(ctx, m.times.hung)
		complete = complete && (t.next != nil || t.blocked != nil)
	}
	return complete && ctx.Err() == nil
}

// loadAtStart loads all lists before there is a state to answer from.
func (m *Manager) loadAtStart(ctx context.Context, all []*trackedList) {
	const tries = 3
	for try := 1; try <= tries; try++ {
		m.scanAll(ctx, all, startTimeout)
		for _, t := range all {
			t.restless = try == tries // a file that never stops changing is better read half-written than not at all
		}
		if m.loadAll(ctx, all) {
			break
		}
	}
	for _, t := range all {
		t.activate()
		t.source, t.restless = t.withStatus(), false
	}
}
