package telemetry

import (
	"iter"
	"time"
)

// window counts by period, and forgets the oldest one when a new one begins.
type window[K comparable, V any] struct {
	length  time.Duration // of a period
	periods []period[K, V]
}

type period[K comparable, V any] struct {
	number int64 // since 1970; 0: it is empty
	counts map[K]V
}

// windows have the last hour in periods of five minutes, and the last 24 hours in periods of one.
type windows[K comparable, V any] struct{ hour, day window[K, V] }

func newWindows[K comparable, V any]() windows[K, V] {
	return windows[K, V]{window[K, V]{5 * time.Minute, make([]period[K, V], 12)}, window[K, V]{time.Hour, make([]period[K, V], 24)}}
}

// at returns the counts of the periods in which a time is.
func (w *windows[K, V]) at(now time.Time) [2]map[K]V {
	return [2]map[K]V{w.hour.at(now), w.day.at(now)}
}

func (w *window[K, V]) at(now time.Time) map[K]V {
	number := numberOf(now, w.length)
	p := &w.periods[number%int64(len(w.periods))]
	if p.number != number {
		*p = period[K, V]{number, map[K]V{}}
	}
	return p.counts
}

// recent returns the counts of each period that is not too old, the oldest first.
func (w *window[K, V]) recent(now time.Time) iter.Seq[map[K]V] {
	return func(yield func(map[K]V) bool) {
		last, n := numberOf(now, w.length), int64(len(w.periods))
		for number := last - n + 1; number <= last; number++ {
			if p := &w.periods[number%n]; p.number == number && !yield(p.counts) {
				return
			}
		}
	}
}

// numberOf returns the number of the period in which a time is, since 1970.
func numberOf(now time.Time, length time.Duration) int64 {
	return now.Unix() / int64(length/time.Second)
}
