package learn

import (
	"ehlogate/lists/earned"
	"ehlogate/lists/fallback"
)

// Event is something that the operator should know.
type Event struct {
	Kind     EventKind
	Fallback *fallback.Event // of a fallback list
	Earned   *earned.Event   // of an earned list
	Path     string          // of the file that keeps what was learned
	Aside    string          // where the old file is
	Err      error
	Stack    []byte
}

// EventKind is a kind of Event. Those of a list have the words of its package.
type EventKind string

const (
	// StoreFailed: the file cannot be read or written, because of Err. Lists answer as before, and it is tried again.
	StoreFailed EventKind = "store-failed"
	// StoreWorks: it can again.
	StoreWorks EventKind = "store-works"
	// StoreAside: the file could not be used, because of Err. It was renamed, and nothing is learned any more.
	StoreAside EventKind = "store-aside"
	// SessionsDropped: there were more sessions than can be learned from. Not repeated for an hour.
	SessionsDropped EventKind = "sessions-dropped"
)

func newFallbackEvent(e fallback.Event) Event {
	return Event{Kind: EventKind(e.Kind), Fallback: &e}
}

func newEarnedEvent(e earned.Event) Event {
	return Event{Kind: EventKind(e.Kind), Earned: &e}
}
