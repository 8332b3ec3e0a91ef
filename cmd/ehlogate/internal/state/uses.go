package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/config"
	"ehlogate/lists/filewatch"
	"ehlogate/lists/listfile"
	"ehlogate/lists/statefile"
	"ehlogate/lists/uselog"
)

const (
	// useTick is how often the day is looked at.
	useTick = 10 * time.Second
	// useSave is how often what was noted is written.
	useSave = 10 * time.Minute
	// useStop is how long the end of the daemon waits for that.
	useStop = 2 * time.Second
)

// Uses is the file in which the daemon keeps on which day each entry of the operator's lists last matched a session.
type Uses struct {
	Counted uint16                          `json:"counted"` // the last day on which they were counted
	Lists   map[string]map[string][2]uint16 `json:"lists"`   // by list and listfile.UseKey: since when, and the last use
}

// maxUses is the largest file in bytes that ReadUses reads: one of all lists that are counted is smaller.
const maxUses = 256 << 20

// ReadUses returns what the file has. Days on which no daemon counted are left out, as if they had not been.
func ReadUses(path string, now time.Time) (*Uses, error) {
	u := &Uses{Lists: map[string]map[string][2]uint16{}}
	text, err := filewatch.ReadFile(path, maxUses)
	if errors.Is(err, fs.ErrNotExist) {
		return u, nil
	}
	if err == nil {
		if err = json.Unmarshal(text, u); err != nil {
			err = fmt.Errorf("%s: cut or damaged (%w): the daemon writes it anew ten minutes after it started, and when it stops", path, err)
		}
	}
	if err != nil {
		return &Uses{}, err
	}
	if today := uselog.DayOf(now); u.Counted != 0 && today > u.Counted+1 {
		gap := today - u.Counted - 1
		for _, entries := range u.Lists {
			for key, e := range entries {
				if e[0] += gap; e[1] != 0 {
					e[1] += gap
				}
				entries[key] = e
			}
		}
	}
	return u, nil
}

// Of returns the uses of a list.
func (u *Uses) Of(list string) map[uint64]uselog.Use {
	out := make(map[uint64]uselog.Use, len(u.Lists[list]))
	for text, e := range u.Lists[list] {
		if key, err := strconv.ParseUint(text, 16, 64); err == nil {
			out[key] = uselog.Use{Since: e[0], Last: e[1]}
		}
	}
	return out
}

// useCounter keeps the use logs of lists, and writes them.
type useCounter struct {
	path  string
	clock func() time.Time
	log   *logrus.Logger
	begun *Uses // when the daemon began

	mu   sync.Mutex
	logs map[string]*uselog.Log // by list

	written string // the file, as it was written last
	failing bool
}

// newUseCounter returns a counter that goes on from its file; nil if there is none.
func newUseCounter(path string, clock func() time.Time, log *logrus.Logger) *useCounter {
	if path == "" {
		return nil
	}
	c := &useCounter{path: path, clock: clock, log: log, logs: map[string]*uselog.Log{}}
	var err error
	if c.begun, err = ReadUses(path, clock()); err != nil {
		log.WithError(err).Warnf("uses of list entries are counted anew, since %s cannot be read", path)
	}
	return c
}

// attach returns a list that counts its uses, if it is one of the operator's own.
func (c *useCounter) attach(l config.List, source *listfile.List) *listfile.List {
	if c == nil || l.Spec.Format != nil || l.Name == NeverName {
		return source
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.logs[l.Name]
	if log == nil {
		log = uselog.New(c.begun.Of(l.Name), c.clock())
		c.logs[l.Name] = log
	}
	return source.WithUseLog(log)
}

// run writes the file now and then until ctx is done, and then once more.
func (c *useCounter) run(ctx context.Context) {
	tick := time.NewTicker(useTick)
	defer tick.Stop()
	for saved := time.Now(); ; {
		select {
		case <-ctx.Done():
			c.save()
			return
		case <-tick.C:
		}
		now := c.clock()
		c.mu.Lock()
		for _, log := range c.logs {
			log.SetToday(now)
		}
		c.mu.Unlock()
		if time.Since(saved) >= useSave {
			saved = time.Now()
			c.save()
		}
	}
}

// save writes the file if anything changed.
func (c *useCounter) save() {
	u := Uses{Counted: uselog.DayOf(c.clock()), Lists: map[string]map[string][2]uint16{}}
	c.mu.Lock()
	if len(c.logs) == 0 {
		c.mu.Unlock()
		return
	}
	for name, log := range c.logs {
		entries := map[string][2]uint16{}
		for key, use := range log.Uses() {
			entries[strconv.FormatUint(key, 16)] = [2]uint16{use.Since, use.Last}
		}
		u.Lists[name] = entries
	}
	c.mu.Unlock()
	text, err := json.Marshal(u)
	if err == nil && string(text) == c.written {
		return
	}
	if err == nil {
		err = statefile.Replace(c.path, text)
	}
	switch {
	case err == nil:
		c.written, c.failing = string(text), false
	case !c.failing:
		c.failing = true
		level := logrus.WarnLevel
		if errors.Is(err, fs.ErrNotExist) { // the directory: a daemon that was not installed by the package
			level = logrus.InfoLevel
		}
		c.log.WithError(err).Logf(level, "uses of list entries are not kept across restarts, since %s cannot be written", c.path)
	}
}

// start runs the counter in the background until ctx is done. stop waits for its last write, but not for a file system that
// hangs.
func (c *useCounter) start(ctx context.Context) (stop func()) {
	if c == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(ctx)
	}()
	return func() {
		select {
		case <-done:
		case <-time.After(useStop):
		}
	}
}
