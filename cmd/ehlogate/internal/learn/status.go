package learn

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
	"ehlogate/lists/learnstore"
)

const (
	// hangTime is how long a transaction may take.
	hangTime = 10 * time.Second
	// alarmTime is for how long it is shown that an old file was put aside, and that sessions were dropped.
	alarmTime   = 24 * time.Hour
	droppedTime = time.Hour
)

// Status is the state of what is learned, in /healthz and /api/v1/learned.
type Status struct {
	State    string    `json:"state"` // "ok", or "degraded": learning stopped, or what was learned before is lost
	Error    string    `json:"error,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Followed float64   `json:"followed_seconds"` // for how long logs have been followed in all
	// Enforces reports whether that is long enough for fallback lists to count; until then they observe.
	Enforces      bool      `json:"enforces"`
	EnforcesAfter float64   `json:"enforces_after_seconds"`
	Entries       int       `json:"fallback_entries"`
	Earned        int       `json:"earned_clients"`
	Breaker       string    `json:"breaker,omitempty"` // why fallback lists learn nothing at present
	Dropped       uint64    `json:"dropped_sessions"`
	Bytes         int64     `json:"store_bytes"`
	Aside         string    `json:"aside,omitempty"` // the old file, which could not be used
	AsideSince    time.Time `json:"aside_since,omitzero"`
	events        map[string]uint64
}

// IsDegraded reports whether an operator should look.
func (s Status) IsDegraded() bool { return s.Error != "" }

// eventKinds are those that are counted.
var eventKinds = []fallback.EventKind{fallback.EventLearned, fallback.EventConfirmed, fallback.EventDormant, fallback.EventSuppressed, fallback.EventRepaired,
	fallback.EventEnded, fallback.EventWithdrawn, fallback.EventLeftAlone, fallback.EventBreakerOpen, fallback.EventBreakerClose, fallback.EventCap,
	fallback.EventKind(earned.EventEarned), fallback.EventKind(earned.EventLeft)}

// Events returns how many events there were of each kind, also of those that there were none of.
func (s Status) Events() map[string]uint64 {
	all := map[string]uint64{}
	for _, kind := range eventKinds {
		all[string(kind)] = s.events[string(kind)]
	}
	return all
}

// BreakerIsOpen reports whether fallback lists learn nothing at present.
func (s Status) BreakerIsOpen() bool { return s.Breaker != "" }

// statusKeeper has what the status is made of.
type statusKeeper struct {
	mu        sync.Mutex
	busy      time.Time // since when a transaction has not returned; zero: it has
	failing   time.Time // since when transactions fail; zero: they do not
	err       error
	aside     learnstore.Status
	asideAt   time.Time
	size      int64
	breaker   string // why it is open
	breakerAt time.Time
	droppedAt time.Time
	events    map[string]uint64
}

func (k *statusKeeper) takeOver(other *statusKeeper) {
	other.mu.Lock()
	defer other.mu.Unlock()
	k.aside, k.asideAt, k.breaker, k.breakerAt, k.droppedAt, k.events = other.aside, other.asideAt, other.breaker, other.breakerAt, other.droppedAt, maps.Clone(other.events)
}

func (k *statusKeeper) begin(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = now
}

func (k *statusKeeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = time.Time{}
}

// change is what a result means.
type change int

const (
	unchanged change = iota
	began            // to fail, or in another way
	ended            // to fail
)

func (k *statusKeeper) noteResult(err error, now time.Time) change {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = time.Time{}
	before := k.err
	k.err = err
	switch {
	case err == nil && before == nil:
		return unchanged
	case err == nil:
		k.failing = time.Time{}
		return ended
	case before == nil:
		k.failing = now
		return began
	case before.Error() != err.Error():
		return began
	}
	return unchanged
}

func (k *statusKeeper) noteAside(st learnstore.Status, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.aside, k.asideAt = st, now
}

func (k *statusKeeper) noteSize(n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.size = n
}

// noteDropped reports whether it is the first drop for a while.
func (k *statusKeeper) noteDropped(now time.Time) (first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	first = k.droppedAt.IsZero() || now.Sub(k.droppedAt) > droppedTime
	k.droppedAt = now
	return first
}

// noteBreaker takes over what the store has of the breaker.
func (k *statusKeeper) noteBreaker(r fallback.BreakerReport) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.breaker = ""; r.Open {
		k.breaker, k.breakerAt = r.Reason, r.Since
	}
}

func (k *statusKeeper) noteEvent(e Event, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.events == nil {
		k.events = map[string]uint64{}
	}
	k.events[string(e.Kind)]++
	if e.Fallback == nil {
		return
	}
	switch e.Fallback.Kind {
	case fallback.EventBreakerOpen:
		k.breaker, k.breakerAt = e.Fallback.Reason, now
	case fallback.EventBreakerClose:
		k.breaker = ""
	}
}

// Status returns the state of what is learned.
func (s *Service) Status() Status {
	now := s.environment.Clock()
	st := Status{State: "ok", Dropped: s.dropped.Load(), EnforcesAfter: s.options.ObserveFor.Seconds(), Enforces: s.Enforces()}
	followed, _ := s.time.get()
	st.Followed = followed.Seconds()
	st.Entries, st.Earned = s.lists.count()
	k := &s.status
	k.mu.Lock()
	defer k.mu.Unlock()
	st.Bytes, st.Breaker, st.events = k.size, k.breaker, maps.Clone(k.events)
	if !k.asideAt.IsZero() {
		st.Aside, st.AsideSince = k.aside.Aside, k.asideAt
	}
	switch {
	case !k.busy.IsZero() && now.Sub(k.busy) >= hangTime:
		st.Error, st.Since = fmt.Sprintf("%s: timeout: the file system does not respond", s.options.State), k.busy
	case k.err != nil:
		st.Error, st.Since = k.err.Error(), k.failing
	case !k.asideAt.IsZero() && now.Sub(k.asideAt) < alarmTime:
		st.Error, st.Since = fmt.Sprintf("what was learned before is lost: %v; the old file is %s", k.aside.Reason, k.aside.Aside), k.asideAt
	case k.breaker != "":
		st.Error, st.Since = "fallback lists learn nothing at present: "+k.breaker, k.breakerAt
	case !k.droppedAt.IsZero() && now.Sub(k.droppedAt) < droppedTime:
		st.Error, st.Since = "sessions were not read, since there were too many", k.droppedAt
	}
	if st.IsDegraded() {
		st.State = "degraded"
	}
	return st
}
