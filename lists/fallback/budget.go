package fallback

import (
	"sync/atomic"
	"time"

	"ehlogate/lists/learnstore"
	"ehlogate/lists/maillog"
)

// budget is how many sessions entries may suppress in this hour. Lookups take from it.
type budget struct{ used, allowed atomic.Int64 }

// take reports whether one more session may be suppressed.
func (b *budget) take() bool {
	if b.used.Load() >= b.allowed.Load() {
		return false
	}
	return b.used.Add(1) <= b.allowed.Load()
}

func (b *budget) isSpent() bool { return b.used.Load() >= b.allowed.Load() }

// traffic counts sessions, for the share that entries may suppress.
type traffic struct {
	hour               int64 // number, of the time for which logs were followed
	thisHour, lastHour int64 // sessions
	used               int64 // suppressed in this hour, as it was stored last
	noted              bool  // that the budget was spent
}

// maxAgeOfTraffic is how old a session may be to count for the share: a log that is read late is not the traffic of this hour.
const maxAgeOfTraffic = time.Hour

func (l *Learner) countSession(now learnstore.Moment, s *maillog.Session) {
	if age := now.Wall.Sub(s.End); age < maxAgeOfTraffic && age > -timeGrace {
		l.state.thisHour++
	}
}

// refillBudget begins a new hour if it has come, and sets what is allowed in it.
func (l *Learner) refillBudget(now learnstore.Moment) {
	t := &l.state.traffic
	if hour := int64(now.Followed / time.Hour); hour != t.hour {
		t.lastHour = 0
		if hour == t.hour+1 {
			t.lastHour = t.thisHour
		}
		t.hour, t.thisHour, t.noted = hour, 0, false
		l.budget.used.Store(0)
	}
	share := int64(l.options.MaxShare * float64(max(t.thisHour, t.lastHour)))
	l.budget.allowed.Store(max(share, int64(l.options.MinSessions)))
	if l.budget.isSpent() && !t.noted {
		t.noted = true
		l.notify(Event{Kind: EventCap, Warning: true, Reason: "entries suppressed as many sessions as they may in an hour: STARTTLS is offered to their clients until the next hour"})
	}
}
