package earned

import (
	"time"

	"ehlogate/lists"
)

// Options are the numbers of the rules.
type Options struct {
	Days       int     // with accepted mail that a client needs
	Of         int     // days up to the present one, among which they are; at most MaxOf
	Sessions   int     // with accepted mail that it needs in these days
	MaxRejects float64 // the largest share of rejected sessions, in these days as in the last Days
	// Keep is for how long a client remains earned without accepted mail, by the clock of the machine and of the time for which
	// logs were followed.
	Keep       time.Duration
	MaxClients int // with a record. Beyond, those go first that never delivered, then those that are not earned
}

// MaxOf is the largest number of days that a record can look back.
const MaxOf = 64

// Defaults returns the options that README.md explains.
func Defaults() Options {
	return Options{Days: 5, Of: 30, Sessions: 10, MaxRejects: 0.10, Keep: 30 * 24 * time.Hour, MaxClients: 2_000_000}
}

// Environment is what the rules need to know beyond the log.
type Environment struct {
	// Denied reports whether a suppress list or a DNS black list has a client; nil stands for false. It is called for sessions
	// of clients that are earned or about to be.
	Denied func(lists.Client) bool
	// Never reports whether nothing may be learned of a client: it is on the operator's list of such clients, or of the
	// operator's own networks. nil stands for false.
	Never func(lists.Client) bool
}
