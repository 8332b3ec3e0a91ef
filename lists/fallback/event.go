package fallback

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	EventLearned      EventKind = "learned"        // a client got an entry
	EventConfirmed    EventKind = "confirmed"      // an entry lives on
	EventDormant      EventKind = "dormant"        // the life of an entry ended; STARTTLS is offered again
	EventSuppressed   EventKind = "suppressed"     // old TLS did not help either: a legacy entry suppresses from now on
	EventRepaired     EventKind = "repaired"       // a client with an entry completed TLS: the entry ended
	EventEnded        EventKind = "ended"          // an entry ended for another reason
	EventWithdrawn    EventKind = "withdrawn"      // an entry ended because it should not have been made
	EventLeftAlone    EventKind = "left-alone"     // a client with an entry is left alone
	EventBreakerOpen  EventKind = "breaker-open"   // nothing is learned until EventBreakerClose
	EventBreakerClose EventKind = "breaker-closed" //
	EventCap          EventKind = "cap"            // a limit was reached: no new entry, or STARTTLS offered in spite of one
)

// formatSpan returns a time as operators write it: 30d, 1h, 10m.
func formatSpan(d time.Duration) string {
	if days := d / (24 * time.Hour); days >= 2 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Event is something that an operator may want to know.
type Event struct {
	Kind    EventKind
	Warning bool       // else it is information
	Client  netip.Addr // invalid if it is about no client
	Name    string     // the verified host name, if the client has one
	Action  lists.Action
	Class   maillog.Class
	Until   time.Time // when the life of the entry ends, or the breaker closes
	Reason  string
}

// String returns the event in the words of a log.
func (e Event) String() string {
	parts := []string{"fallback: " + string(e.Kind)}
	if e.Client.IsValid() {
		parts = append(parts, e.Client.String())
	}
	if e.Name != "" {
		parts = append(parts, "("+e.Name+")")
	}
	if !e.Until.IsZero() {
		parts = append(parts, "until "+e.Until.UTC().Format(time.RFC3339))
	}
	text := strings.Join(parts, " ")
	if e.Reason != "" {
		text = fmt.Sprintf("%s: %s", text, e.Reason)
	}
	return text
}
