package reload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/listfile"
)

// tracked is a list of files, and how it is followed. Looks and loads may hang
// with their file system, so each runs in a goroutine of its own, one at a time.
type tracked struct {
	name     string
	source   *listfile.List // in force
	settling listfile.Settler

	looks    chan look         // nil: no look is under way
	loads    chan loaded       // nil: no load is under way
	lookIO   listfile.Activity // of the look
	loadIO   listfile.Activity // of the load
	late     bool              // the look under way was waited for in vain
	blocked  error             // why the list cannot be followed at present
	restless bool              // it goes on changing, and is to be read all the same

	next   *listfile.List    // that was read and is not in force yet
	nextOf listfile.Snapshot // from which state
	took   time.Duration

	retry   time.Time // when a list that could not be read is read again
	backoff time.Duration

	told listfile.Status // what the log was told last
}

type look struct {
	files listfile.Snapshot
	took  time.Duration
}

type loaded struct {
	source *listfile.List
	err    error
}

// track gives the lists of cfg that are made of files, with those in have that
// are made of the same files.
func (e *Manager) track(cfg *config.Config, have []*tracked) (out []*tracked) {
	for _, l := range cfg.Lists {
		if l.IsDNSList() {
			continue
		}
		t := &tracked{name: l.Name, source: listfile.New(l.Spec, e.clock),
			settling: listfile.Settler{Quiet: e.times.quiet, Restless: 10 * e.times.quiet}}
		for _, h := range have {
			if h.name == l.Name && reflect.DeepEqual(h.source.Spec(), l.Spec) {
				t = h
			}
		}
		out = append(out, t)
	}
	return out
}

// beginLook begins a look, unless one is under way.
func (t *tracked) beginLook() {
	if t.looks != nil {
		return
	}
	patterns, result := t.source.Spec().Patterns, make(chan look, 1)
	t.looks = result
	go func() {
		start := time.Now()
		files := listfile.StatFiles(patterns, &t.lookIO)
		result <- look{files, time.Since(start)}
	}()
}

// endLook waits for look number n, which began at now, as long as the file system
// answers within patience. It returns the time that the look took.
func (t *tracked) endLook(ctx context.Context, patience time.Duration, now time.Time, n int) (took time.Duration) {
	if t.late {
		patience = 0
	}
	got, err := await(ctx, t.looks, &t.lookIO, patience)
	if err != nil {
		t.late, t.blocked = true, err
		return 0
	} else if ctx.Err() != nil {
		return 0
	}
	t.looks, t.late = nil, false
	select {
	case <-t.loads: // which hung, and is too old to be used
		t.loads = nil
	default:
	}
	if err := got.files.Err(); err != nil || t.loads != nil {
		t.blocked = cmp.Or(err, t.blocked)
		return got.took
	}
	t.blocked = nil
	t.settling.Look(got.files, t.source.Files(), now, n)
	if t.next != nil && !t.nextOf.Equal(got.files) {
		t.next = nil // it was overtaken
	}
	return got.took
}

// await waits for the result of what shows in io, as long as the file system
// answers within patience.
func await[T any](ctx context.Context, result <-chan T, io *listfile.Activity, patience time.Duration) (got T, err error) {
	select {
	case got = <-result:
		return got, nil
	default:
	}
	tick := time.NewTicker(max(patience/4, time.Millisecond))
	defer tick.Stop()
	for {
		if d, name := io.Waiting(); d > patience {
			return got, errHung(name)
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

// errHung is the reason for a file on a file system that does not answer.
func errHung(name string) error {
	return listfile.UnreadError{Problem: listfile.Problem{File: name, Msg: "the file system does not answer",
		Hint: "see whether its device or server is there; the list is read again when it answers"}}
}

// present is the source in force, with what is known of whether its files can
// be read. It is t.source itself if that is nothing new.
func (t *tracked) present() *listfile.List {
	had := t.source.Status().Unread
	switch {
	case t.blocked != nil && (had == nil || had.Error() != t.blocked.Error()):
		return t.source.WithUnread(t.blocked)
	case t.blocked == nil && had != nil && t.settling.Files().Equal(t.source.Files()):
		return t.source.WithUnread(nil)
	}
	return t.source
}

// due reports whether the files are to be read.
func (t *tracked) due(now time.Time) bool {
	return !t.settling.Files().Equal(t.source.Files()) && (t.source.Status().Unread == nil || !now.Before(t.retry))
}

// settled reports whether what has changed is complete.
func (t *tracked) settled(now time.Time) bool { return t.settling.Settled(t.source.Files(), now) }

func (t *tracked) large() bool {
	return t.source.Status().Entries >= largeList || t.settling.Files().Size() >= largeFile
}

// load reads the files as they were at the last look into t.next, which stays
// nil if they have changed since, and if the file system hangs.
func (t *tracked) load(ctx context.Context, hung time.Duration) {
	if t.next != nil || t.blocked != nil {
		return // it was read before, and the list did not change since
	}
	files, source, result := t.settling.Files(), t.source, make(chan loaded, 1)
	start := time.Now()
	restless, large := t.restless || t.settling.IsRestless(start), t.large()
	t.loads = result
	go func() {
		var l loaded
		read := func() { l.source, l.err = source.Next(files, &t.loadIO, restless) }
		if large {
			loadAside(read)
		} else {
			read()
		}
		result <- l
	}()
	l, err := await(ctx, result, &t.loadIO, hung)
	if err != nil || ctx.Err() != nil {
		t.blocked = err
		return
	}
	t.loads, t.next, t.nextOf, t.took = nil, l.source, files, time.Since(start)
	if l.err != nil || restless {
		t.settling.Moved(time.Now())
	}
	if l.err != nil && restless {
		t.next = source.WithUnread(listfile.UnreadError{Problem: listfile.Problem{File: source.Spec().Patterns[0], Msg: l.err.Error(),
			Hint: "write a new file and rename it over the old one"}})
	}
}

// adopt puts what was read in force.
func (t *tracked) adopt() {
	if t.next == nil {
		return
	}
	t.source, t.next = t.next, nil
	if t.source.Status().Unread == nil {
		t.backoff = 0
		return
	}
	const first, last = 100 * time.Millisecond, time.Second
	t.backoff = max(first, min(2*t.backoff, last), lookShare*t.took)
	t.retry = time.Now().Add(t.backoff)
}

// refusal is why a list cannot be part of a new config.
func (t *tracked) refusal() error {
	switch {
	case t.blocked != nil:
		return t.blocked
	case t.next == nil:
		return errors.New("its files change while they are read: write a new file and rename it over the old one")
	}
	return t.next.Status().Fault()
}

// tell tells the log what has become of lists that were read.
func (e *Manager) tell(ts []*tracked) {
	at := make(map[*listfile.List]config.List)
	for l, s := range e.Snapshot().Files() {
		at[s] = l
	}
	for _, t := range ts {
		e.tellList(at[t.source], t)
	}
}

func (e *Manager) tellList(l config.List, t *tracked) {
	log, now, before := e.log.WithField("list", l.Name), t.source.Status(), t.told
	t.told = now
	if now.Loaded != before.Loaded {
		log.WithFields(logrus.Fields{"action": l.Action.String(), "entries": now.Entries, "files": len(now.Files),
			"took": t.took.Round(time.Microsecond).String()}).Info("list loaded")
		if len(now.Files) == 0 {
			log.Warn("the list is empty: no file matches files = [...]")
		}
	}
	if now.Failures != before.Failures {
		what := "list not loaded, the last good one stays"
		if now.Loaded.IsZero() {
			what = "list not loaded, and it never was: " + withoutList(l)
		}
		e.logProblems(log, now.Fault(), what)
	} else if before.Unread != nil && now.Fault() == nil && now.Loaded == before.Loaded {
		log.Info("the files of the list can be read again")
	}
	switch {
	case now.Expired && (!before.Expired || now.StaleAt != before.StaleAt):
		log.WithField("expire_after", fmt.Sprint(l.Spec.ExpireAfter)).Error("the files of the list are too old, so that it counts as not loaded: " + withoutList(l))
	case before.Expired && !now.Expired:
		log.Info("the files of the list are new again")
	}
}
