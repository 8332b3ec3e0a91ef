// Package loglimit keeps a fault that occurs a thousand times a second from filling the log.
package loglimit

import (
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// Interval is the time between two log lines about the same event.
const Interval = 10 * time.Second

// Limiter logs one event at most once in [Interval]. The zero Limiter is ready for use, by many goroutines at a time: what is
// not logged takes no lock and no memory.
type Limiter struct {
	next    atomic.Pointer[time.Time] // the earliest time of the next line; nil: now
	skipped atomic.Int64
}

// Warn logs msg as a warning, with the fields that it asks for and the number of times that it was not logged since the last
// line, or counts it. fields may be nil.
func (l *Limiter) Warn(log *logrus.Entry, msg string, fields func() logrus.Fields) {
	if !l.allow(time.Now()) {
		l.skipped.Add(1)
		return
	}
	if fields != nil {
		log = log.WithFields(fields())
	}
	if skipped := l.skipped.Swap(0); skipped > 0 {
		log = log.WithField("not_logged", skipped)
	}
	log.Warn(msg)
}

// allow reports whether a line may be logged now, to one of those that ask at that time.
func (l *Limiter) allow(now time.Time) bool {
	next := l.next.Load()
	if next != nil && now.Before(*next) {
		return false
	}
	return l.takeTurn(next, now.Add(Interval))
}

// takeTurn is a function of its own because what it stores is allocated whenever allow is called otherwise.
func (l *Limiter) takeTurn(next *time.Time, after time.Time) bool {
	return l.next.CompareAndSwap(next, &after)
}
