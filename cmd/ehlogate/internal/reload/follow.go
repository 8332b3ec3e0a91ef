package reload

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ehlogate/cmd/ehlogate/internal/config"
)

// How the lists are followed
//
// The files of all lists are looked at four times a second, and more often while
// they change. A look is a few stat(2). Notifications would miss changes (see
// Settling in package lists/listfile). What is in force is replaced when a look shows
// a change that is complete.
//
// Edits of several lists take effect as they were made. A look takes time, and may
// see the second of two edits and not the first. So an edit is read only when two
// looks in a row saw the same: between them the disk was in that state. Everything
// that differs from what is in force is then read beside, and replaces it in one
// step. A change that is complete waits for another list that has changed and is
// not complete, unless a look began when this change was there already and the
// other one was not. Exceptions are a list that goes on changing, for which others
// wait no longer than times.hold, and one whose file system hangs.

// times are the periods by which lists are followed.
type times struct {
	idle  time.Duration // between two looks
	busy  time.Duration // the same while something changes
	quiet time.Duration // file.Settling.Quiet
	hold  time.Duration // how long a complete change waits for other changes
	hung  time.Duration // after which a look or a load waits for a file system that hangs
}

var defaultTimes = times{idle: 250 * time.Millisecond, busy: 50 * time.Millisecond,
	quiet: time.Second, hold: 1100 * time.Millisecond, hung: 300 * time.Millisecond}

const (
	// lookShare: no more than one part in so many of a processor is spent on
	// looks, however many files there are. Beyond that they become fewer, but
	// not fewer than one in longestPause.
	lookShare    = 50
	busyShare    = 5 // while something changes
	longestPause = 10 * time.Second
	// startPatience is for how long a file system may hang at the start.
	startPatience = 5 * time.Second
	// reloadAgain is when a reload is tried again for which a file could not be
	// read, which says nothing of its content.
	reloadAgain = time.Second
	// reloadPatience is how long a reload waits for lists that are new in it and
	// keep changing.
	reloadPatience = 10 * time.Second
)

// pendingReload is a config that is to replace the present one.
type pendingReload struct {
	done   []func()
	begun  time.Time
	loads  chan configLoad // not nil: the config is being read
	hung   bool            // which takes long, and was told
	first  int             // number of the first look after the config was read; 0: there was none
	since  time.Time       // its time
	config *config.Config
	lists  []*tracked
}

type configLoad struct {
	config *config.Config
	err    error
}

// follow looks at the files of all lists, and brings what is in force up to
// date. It returns after how long it is to do so again.
func (e *Manager) follow(ctx context.Context) (pause time.Duration) {
	all := slices.Clone(e.lists)
	if e.reload == nil && !e.retry.IsZero() && !time.Now().Before(e.retry) {
		e.beginReload()
	}
	if e.reload != nil {
		e.awaitConfig()
	}
	if e.reload != nil {
		for _, t := range e.reload.lists {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	took := e.lookAt(ctx, all, e.times.hung)
	if ctx.Err() != nil {
		return 0
	}
	pause = e.pause(min(took, e.looked))
	e.looked = took
	e.age()
	if e.reload != nil && e.reload.config != nil {
		e.tryReload(ctx)
	} else {
		e.update(ctx)
	}
	return pause
}

// pause is the time until the next look, if one takes so long.
func (e *Manager) pause(took time.Duration) time.Duration {
	changing := func(t *tracked) bool {
		return t.blocked == nil && t.source.Status().Unread == nil && !(t.settling.Still() && t.settling.Changed().IsZero())
	}
	if e.reload != nil || slices.ContainsFunc(e.lists, changing) {
		return max(e.times.busy, min(busyShare*took, longestPause))
	}
	return max(e.times.idle, min(lookShare*took, longestPause))
}

// lookAt looks at the files of all lists at once, each of which may hang for
// itself. Every look begins after those before have ended.
func (e *Manager) lookAt(ctx context.Context, all []*tracked, patience time.Duration) (took time.Duration) {
	e.looks++
	now := time.Now()
	for _, t := range all {
		t.beginLook()
	}
	for _, t := range all {
		took += t.endLook(ctx, patience, now, e.looks)
	}
	return took
}

// age lets lists become too old, and notes lists that cannot be followed.
func (e *Manager) age() {
	var changed []*tracked
	now := e.clock()
	for _, t := range e.lists {
		if s := t.present().At(now); s != t.source {
			t.source = s
			changed = append(changed, t)
		}
	}
	if len(changed) > 0 {
		e.publish(e.Snapshot().with(e.lists))
		e.tell(changed)
	}
}

// update reads the lists that have changed, if the change is complete.
func (e *Manager) update(ctx context.Context) {
	now := time.Now()
	ready, waiting := e.sort(e.lists, now, (*tracked).due)
	if len(ready) == 0 || e.holds(ready, waiting, 0, now, now) {
		return
	}
	if !e.loadAll(ctx, ready) {
		return // some have changed once more; the others keep what they read
	}
	for _, t := range ready {
		t.adopt()
	}
	e.publish(e.Snapshot().with(e.lists))
	e.tell(ready)
}

// sort returns the lists among all that are to be read and can be, and those with
// a state that is not certain yet.
func (e *Manager) sort(all []*tracked, now time.Time, wanted func(*tracked, time.Time) bool) (ready, waiting []*tracked) {
	for _, t := range all {
		switch {
		case t.blocked != nil:
		case wanted(t, now) && t.settled(now):
			ready = append(ready, t)
		case wanted(t, now) || !t.settling.Still():
			waiting = append(waiting, t)
		}
	}
	return ready, waiting
}

// holds reports whether the lists that are ready wait for others: for those that
// may have changed before the last change of a ready one, or before the end of look
// from. since is when that wait began, if it was before the changes.
func (e *Manager) holds(ready, waiting []*tracked, from int, since, now time.Time) bool {
	last := from
	for _, t := range ready {
		last = max(last, t.settling.ChangedAt())
		if c := t.settling.Changed(); !c.IsZero() && c.Before(since) {
			since = c
		}
	}
	return slices.ContainsFunc(waiting, func(t *tracked) bool {
		switch {
		case t.settling.RestedAt() > last:
			return false // it changed later
		case t.settling.ChangedAt() <= last+1:
			return true // and is going to be complete, unless it changes once more
		}
		return now.Sub(since) < e.times.hold
	})
}

// tryReload reads all lists of the new config, when they are complete.
func (e *Manager) tryReload(ctx context.Context) {
	r, now := e.reload, time.Now()
	if r.first == 0 {
		r.first, r.since = e.looks, now
	}
	isNew := func(t *tracked) bool { return !slices.Contains(e.lists, t) }
	ready, waiting := e.sort(r.lists, now, func(*tracked, time.Time) bool { return true })
	patient := now.Sub(r.since) < reloadPatience
	if patient && slices.ContainsFunc(waiting, isNew) || e.holds(ready, waiting, r.first-1, r.since, now) {
		return // a list that is new in it must not be taken half-written
	}
	if !e.loadAll(ctx, ready) && patient {
		return
	}
	for _, t := range r.lists {
		if err := t.refusal(); isNew(t) && err != nil {
			e.endReload(fmt.Errorf("list %q: %w", t.name, err))
			return
		}
	}
	e.endReload(nil)
}

// loadAll reads lists, one after another, into their next sources. complete is
// false if one of them was not as at the last look.
func (e *Manager) loadAll(ctx context.Context, ts []*tracked) (complete bool) {
	complete = true
	for _, t := range ts {
		e.large = e.large || t.large()
		t.load(ctx, e.times.hung)
		complete = complete && (t.next != nil || t.blocked != nil)
	}
	return complete && ctx.Err() == nil
}

// loadNow is for the start, when there is nothing that could answer meanwhile.
func (e *Manager) loadNow(ctx context.Context, ts []*tracked) {
	const tries = 3
	for try := 1; try <= tries; try++ {
		e.lookAt(ctx, ts, startPatience)
		for _, t := range ts {
			t.restless = try == tries // what is written for ever is better read halfway than not at all
		}
		if e.loadAll(ctx, ts) {
			break
		}
	}
	for _, t := range ts {
		t.adopt()
		t.source, t.restless = t.present(), false
	}
}
