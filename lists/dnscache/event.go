package dnscache

import "time"

// Event is something that an operator should know of.
type Event struct {
	Kind     EventKind
	Upstream string        // the name of the zone; "" for reverse DNS
	Why      string        // of Disabled and Panicked
	Stale    time.Duration // of Disabled: how long expired answers are used; 0: there are none
	After    time.Duration // of Enabled: how long it was disabled
	Limit    int           // of Overloaded: MaxLookups
}

type EventKind string

const (
	// Disabled means that an upstream is not queried until its health check passes.
	Disabled EventKind = "disabled"
	// Enabled means that it is queried again.
	Enabled EventKind = "enabled"
	// Overloaded means that queries are dropped since so many are in flight. It is reported once in ten minutes.
	Overloaded EventKind = "overloaded"
	// Panicked means that a query panicked, which is a bug. Why has the stack.
	Panicked EventKind = "panicked"
)
