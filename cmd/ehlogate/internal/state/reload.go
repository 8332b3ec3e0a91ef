package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/cmd/ehlogate/internal/logformat"
	"ehlogate/lists/filewatch"
)

const (
	// reloadRetry is the pause before a reload is tried again that failed to read a file. Such an error proves nothing
	// about the content.
	reloadRetry = time.Second
	// configPatience is how much longer the config may take to read than a list until its file system counts as hanging: it
	// is read at the operator's word, and on a busy machine not at once.
	configPatience = 10
	// settleTimeout is how long a reload waits for new lists whose files keep changing.
	settleTimeout = 10 * time.Second
)

// pendingReload is a reload of the config that is under way.
type pendingReload struct {
	done      []func() // called at its end
	started   time.Time
	result    chan configLoad // of reading the config
	firstScan int             // number of the first scan after the config was read; 0: none yet
	since     time.Time       // time of that scan
	config    *config.Config  // nil: it is being read
	lists     []*trackedList
}

type configLoad struct {
	config *config.Config
	err    error
}

// beginReload starts to read the config, in a goroutine of its own since the file system may hang. followFiles does the
// rest, since lists are read only when they are complete. While a reload is under way it queues another one.
func (m *Manager) beginReload(done ...func()) {
	if m.reload != nil {
		m.queued = append(m.queued, done...)
		return
	}
	m.reload = &pendingReload{done: done, started: time.Now(), result: make(chan configLoad, 1)}
	load, result := m.load, m.reload.result
	go func() {
		cfg, err := load()
		result <- configLoad{cfg, err}
	}()
}

// awaitConfig takes the config of a reload when it has been read.
func (m *Manager) awaitConfig() {
	r := m.reload
	if r.config != nil {
		return
	}
	var got configLoad
	select {
	case got = <-r.result:
	case <-time.After(m.times.busy):
		if time.Since(r.started) > configPatience*m.times.hung {
			m.recordFailure(hungError(m.Snapshot().Config.File))
		}
		return
	}
	old, err := m.Snapshot().Config, got.err
	if err == nil && got.config.File == "" && old.File != "" {
		err = fmt.Errorf("%s does not exist any more", old.File)
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok && !filewatch.IsContentError(err) {
		err = filewatch.NewReadError(path.Path, path)
	}
	if err != nil {
		m.failReload(err)
		return
	}
	r.config, r.lists = got.config, m.trackLists(got.config, m.lists)
}

// tryReload loads all lists of the new config as soon as their files are complete, and ends the reload.
func (m *Manager) tryReload(ctx context.Context) {
	r, now := m.reload, time.Now()
	if r.firstScan == 0 {
		r.firstScan, r.since = m.scans, now
	}
	isNew := func(t *trackedList) bool { return !slices.Contains(m.lists, t) }
	ready, waiting := sortReady(r.lists, now, func(*trackedList, time.Time) bool { return true })
	settling := now.Sub(r.since) < settleTimeout
	if settling && slices.ContainsFunc(waiting, isNew) || m.mustWait(ready, waiting, r.firstScan-1, r.since, now) {
		return // a new list must not be read half-written
	}
	if !m.loadAll(ctx, ready) && settling {
		return
	}
	for _, t := range r.lists {
		if err := t.loadError(); isNew(t) && err != nil {
			m.failReload(fmt.Errorf("list %q: %w", t.name, err))
			return
		}
	}
	m.completeReload()
}

func (m *Manager) completeReload() {
	r := m.reload
	for _, t := range r.lists {
		t.activate()
	}
	s := m.buildSnapshot(r.config, m.Snapshot(), r.lists)
	m.lists = r.lists
	m.publish(s)
	m.setConfigFault(nil)
	s.dropUnusedZones()
	m.logChanges(r.lists)
	m.log.SetLevel(r.config.Log.Level)
	if !reflect.DeepEqual(r.config.Listen, m.started.Listen) || r.config.Log.JSON != m.started.Log.JSON {
		m.log.Warn("restart required: [listen] or [log] format changed")
	}
	m.log.WithFields(logrus.Fields{"config": r.config.File, "lists": len(r.config.Lists)}).Info("config reloaded")
	m.endReload(time.Time{})
}

func (m *Manager) failReload(err error) {
	for _, t := range m.reload.lists {
		t.next = nil
	}
	m.recordFailure(err)
	var retryAt time.Time
	if filewatch.IsReadError(err) {
		retryAt = time.Now().Add(reloadRetry)
	}
	m.endReload(retryAt)
}

// endReload tells the callers that the reload has ended, and begins the queued one.
func (m *Manager) endReload(retryAt time.Time) {
	done, queued := m.reload.done, m.queued
	m.reload, m.retryAt, m.queued = nil, retryAt, nil
	for _, f := range done {
		f()
	}
	if len(queued) > 0 {
		m.beginReload(queued...)
	}
}

// recordFailure counts and logs a failed reload, unless it is the same error of reading again.
func (m *Manager) recordFailure(err error) {
	if before := m.ReloadError(); before != nil && before.Error() == err.Error() && filewatch.IsReadError(err) {
		return
	}
	m.reloadFailures.Add(1)
	m.setConfigFault(err)
	logformat.LogProblems(m.log.WithField("config", m.Snapshot().Config.File), err, "reload failed; previous config stays in use")
}
