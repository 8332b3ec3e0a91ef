package earned

import "net/netip"

// EventKind is what happened.
type EventKind string

// The kinds of events. All of them are information.
const (
	EventEarned EventKind = "earned" // a client is offered STARTTLS from now on
	EventLeft   EventKind = "left"   // a client is earned no more
)

// Event is something that an operator may want to know.
type Event struct {
	Kind   EventKind
	Client netip.Prefix // of one IPv4 address, or an IPv6 /64
	Name   string       // the verified host name in the session, if it has one
	Reason string
}

// String returns the event in the words of a log.
func (e Event) String() string {
	text := "earned: " + string(e.Kind) + " " + textOf(e.Client)
	if e.Name != "" {
		text += " (" + e.Name + ")"
	}
	return text + ": " + e.Reason
}
