package learn

import (
	"fmt"
	"sync"
	"time"

	"ehlogate/lists/learnstore"
)

const (
	// maxAdvance is how much time can pass between two looks at the clock. More means that the process did not run, and
	// followed no log.
	maxAdvance = 10 * time.Second
	// maxJump is by how much the clock of the machine may differ from the monotonic one.
	maxJump = 5 * time.Minute
)

// followedTime counts for how long logs have been followed.
type followedTime struct {
	clock      func() time.Time
	monotonic  func() time.Duration
	isFollowed func() bool

	mu       sync.Mutex
	known    bool // what the store has was added
	followed time.Duration
	last     time.Duration // of the monotonic clock
	offset   time.Duration // of the clock of the machine from the monotonic one
}

var processStart = time.Now()

func (t *followedTime) init(e Environment) {
	t.clock, t.monotonic, t.isFollowed = e.Clock, e.Monotonic, e.IsFollowed
	if t.monotonic == nil {
		t.monotonic = func() time.Duration { return time.Since(processStart) }
	}
	t.last = t.monotonic()
	t.offset = t.offsetAt(t.last)
}

func (t *followedTime) offsetAt(monotonic time.Duration) time.Duration {
	return time.Duration(t.clock().UnixNano()) - monotonic
}

// takeOver goes on with the count of another service.
func (t *followedTime) takeOver(other *followedTime) {
	other.mu.Lock()
	defer other.mu.Unlock()
	t.known, t.followed = other.known, other.followed
}

// load takes what a store has that was opened: for how long logs were followed before. If the time is known already, it may be
// another store, or an empty one, in the place of the one that broke. What was learned in the time is lost then, above all which
// clients are immune, so the time is, too. It reports whether that is so.
func (t *followedTime) load(before time.Duration) (lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known {
		t.followed += before
		t.known = true
		return false
	}
	if lost = (t.followed - before).Abs() > 2*saveTime; lost {
		t.followed = before
	}
	return lost
}

// advance lets time pass. It returns why the clock of the machine cannot be relied on, if so.
func (t *followedTime) advance() (reasons []string) {
	follows := t.isFollowed()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.monotonic()
	if follows {
		t.followed += min(now-t.last, maxAdvance)
	}
	t.last = now
	offset := t.offsetAt(now)
	if jump := offset - t.offset; jump.Abs() > maxJump {
		reasons = append(reasons, fmt.Sprintf("the clock of the machine was set by %v", jump.Round(time.Second)))
		t.offset = offset
	}
	return reasons
}

func (t *followedTime) get() (followed time.Duration, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.followed, t.known
}

func (t *followedTime) moment() learnstore.Moment {
	followed, _ := t.get()
	return learnstore.Moment{Wall: t.clock(), Followed: followed}
}
