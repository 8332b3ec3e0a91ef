package fallback

import (
	"time"

	"ehlogate/lists"
)

// Options are the numbers of the rules. Durations are of the time for which logs were followed, unless said otherwise.
type Options struct {
	// Legacy and Suppress tell which lists there are. With both, a client that old TLS may help begins on the legacy list.
	Legacy, Suppress bool

	// Evidence: Sessions that fail in the same way, each Spacing after the one before, over at least Span, none older than
	// MaxAge. Spacing and MaxAge are also of the log's time.
	Sessions              int
	Spacing, Span, MaxAge time.Duration
	// ScannerSpan is within which two ways of failing make a scanner, in the log's time.
	ScannerSpan time.Duration
	LeaveAlone  time.Duration // after a scanner, or an entry that was of no use

	Immunity  time.Duration // of a client that completed TLS
	Neighbors time.Duration // of the clients near it
	Clear     time.Duration // for how long mail that was delivered in the clear gives reason to believe in mail

	// An entry lives for Life, twice as long with each confirmation up to MaxLife, and TotalLife in all.
	Life, MaxLife, TotalLife time.Duration
	// Each ProbeSessions-th session of an entry is a probe, and the first after ProbeAfter without one.
	ProbeSessions int
	ProbeAfter    time.Duration
	// UnusedSessions in a row without accepted mail end an entry that never brought any.
	UnusedSessions int

	// Entries suppress at most MaxShare of the sessions of an hour, but MinSessions always.
	MaxShare    float64
	MinSessions int
	MaxEntries  int

	// BreakerClients that fail for the first time within BreakerSpan open the breaker; so does BreakerShare of the handshakes
	// if it is at least BreakerMinimum clients. It closes Rest after the last cause.
	BreakerClients, BreakerMinimum int
	BreakerShare                   float64
	BreakerSpan, Rest              time.Duration

	// MaxEvidence bounds the clients with evidence and those left alone, each; MaxImmune the clients that are immune, their
	// networks, their domains, and those that delivered in the clear, each; the first two of IPv4 and of IPv6, each. The oldest
	// goes.
	MaxEvidence, MaxImmune int
}

// Defaults returns the options that README.md explains. It names no list.
func Defaults() Options {
	const day = 24 * time.Hour
	return Options{
		Sessions: 3, Spacing: 10 * time.Minute, Span: time.Hour, MaxAge: day,
		ScannerSpan: time.Minute, LeaveAlone: 7 * day,
		Immunity: 400 * day, Neighbors: 30 * day, Clear: 30 * day,
		Life: 4 * time.Hour, MaxLife: 7 * day, TotalLife: 30 * day,
		ProbeSessions: 10, ProbeAfter: day, UnusedSessions: 3,
		MaxShare: 0.005, MinSessions: 20, MaxEntries: 200,
		BreakerClients: 5, BreakerMinimum: 3, BreakerShare: 0.02, BreakerSpan: 10 * time.Minute, Rest: time.Hour,
		MaxEvidence: 100_000, MaxImmune: 2_000_000,
	}
}

// Standing is what other lists say of a client.
type Standing uint8

const (
	// StandingUnknown means that a list is pending or unavailable.
	StandingUnknown Standing = iota
	// StandingNone means that no list has the client.
	StandingNone
	// StandingTrusted means that an offer or require list, or a DNS white list, has it.
	StandingTrusted
	// StandingDenied means that a suppress list, or a DNS black list, has it.
	StandingDenied
)

// Environment is what the rules need to know beyond the log.
type Environment struct {
	// Standing returns what lists say of a client; nil stands for StandingNone.
	Standing func(lists.Client) Standing
	// Never reports whether nothing may be learned of a client: it is on the operator's list of such clients, or of the
	// operator's own networks. nil stands for false.
	Never func(lists.Client) bool
	// Enforced reports whether the lists of an action take effect, and do not merely observe; nil stands for true. While the
	// legacy list observes, a failure does not show that old TLS fails.
	Enforced func(lists.Action) bool
}
