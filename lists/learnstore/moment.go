package learnstore

import "time"

// Moment is a point in time for what is learned.
type Moment struct {
	Wall time.Time // of the clock of the machine, which may be set
	// Followed is for how long logs have been followed in all. It is counted by a monotonic clock and kept in the store: no
	// setting of a clock moves it.
	Followed time.Duration
}
