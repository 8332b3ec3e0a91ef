// Package loglimit keeps a fault that occurs a thousand times a second from filling the log.
package loglimit

import (
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// Interval is the time between two log lines about the same event.
const Interval = 10 * time.Second

// Limiter logs one event at most once in [Interval]. The zero Limiter is ready for use.
type Limiter struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

// Warn logs msg as a warning, with the number of times that it was not logged since the last line, or counts it.
func (l *Limiter) Warn(log *logrus.Entry, msg string) {
	skipped, ok := l.allow(time.Now())
	if !ok {
		return
	}
	if skipped > 0 {
		log = log.WithField("not_logged", skipped)
	}
	log.Warn(msg)
}

func (l *Limiter) allow(now time.Time) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.skipped++
		return 0, false
	}
	skipped = l.skipped
	l.next, l.skipped = now.Add(Interval), 0
	return skipped, true
}
