// Package lists is the domain of ehlogate: who a client is, what lists say
// of it, and which action follows. It does no I/O and knows no protocol.
//
// A [Policy] asks its lists in order; the first that holds the client
// decides, else the default does. What a list is made of is the business of
// its [Source]: list files (package lists/listfile) are the first kind.
//
// The rule behind every doubt is that an answer never guesses: whatever is
// not known for certain ends with [Offer], because STARTTLS that is offered
// costs some CPU, while STARTTLS that is hidden by mistake puts somebody's
// mail on the wire in the clear.
package lists

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Action is what is done for a client.
type Action uint8

const (
	// Offer lets the client see STARTTLS (RFC 3207) in the EHLO reply.
	Offer Action = iota
	// Suppress hides STARTTLS from the client.
	Suppress
	// Require offers STARTTLS and refuses mail that comes without it.
	Require
)

var actionNames = [...]string{Offer: "offer", Suppress: "suppress", Require: "require"}

// String gives the word that stands in config, logs and metrics.
func (a Action) String() string { return wordAt(actionNames[:], int(a)) }

// MarshalText gives the same word as String; it never fails.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes "offer", "suppress" or "require".
func (a *Action) UnmarshalText(text []byte) error {
	i, err := parseWord("action", actionNames[:], text)
	*a = Action(i)
	return err
}

// Mode says whether a decision takes effect.
type Mode uint8

const (
	// Enforce lets decisions take effect.
	Enforce Mode = iota
	// Observe decides, logs and counts, and changes nothing.
	Observe
)

var modeNames = [...]string{Enforce: "enforce", Observe: "observe"}

// String gives the word that stands in config and logs.
func (m Mode) String() string { return wordAt(modeNames[:], int(m)) }

// MarshalText gives the same word as String; it never fails.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText takes "enforce" or "observe".
func (m *Mode) UnmarshalText(text []byte) error {
	i, err := parseWord("mode", modeNames[:], text)
	*m = Mode(i)
	return err
}

// Reason names the rule that produced a verdict.
type Reason uint8

const (
	// ReasonDefault: no list holds the client.
	ReasonDefault Reason = iota
	// ReasonListed: an entry of a list holds the client.
	ReasonListed
	// ReasonUnavailable: an offer or require list could not be asked, and it
	// might have held the client; without a list, that was so when the client's
	// last session began.
	ReasonUnavailable
	// ReasonNoAddress: no list holds the client and its address is not
	// known, so that the default, which is about addresses, is not applied.
	ReasonNoAddress
	// ReasonObserve: the whole policy observes; Observed has what it would
	// have done.
	ReasonObserve
	// ReasonFault: something went wrong inside ehlogate.
	ReasonFault
	// ReasonLimit: no list holds the client, and it was, or was not, among those
	// to whom STARTTLS can still be offered.
	ReasonLimit
	// ReasonGuard: STARTTLS would be hidden, but a domain that is served here
	// promised it to everybody.
	ReasonGuard
)

var reasonNames = [...]string{
	ReasonDefault: "default", ReasonListed: "listed", ReasonUnavailable: "unavailable",
	ReasonNoAddress: "no-address", ReasonObserve: "observe", ReasonFault: "fault",
	ReasonLimit: "limit", ReasonGuard: "guard",
}

// String gives the word that stands in logs.
func (r Reason) String() string { return wordAt(reasonNames[:], int(r)) }

// MarshalText gives the same word as String; it never fails.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func wordAt(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("invalid(%d)", i)
}

func parseWord(what string, names []string, text []byte) (int, error) {
	for i, n := range names {
		if n == string(text) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%q is no %s: write one of %q", text, what, names)
}

// Entry is one condition of a list as its author wrote it.
type Entry struct {
	Text  string    // the condition in its normal spelling, with ! for a hole
	File  string    // where it stands; empty for sources without files
	Line  int       // from 1; 0 without a file
	Until time.Time // the first instant at which it no longer counts; zero: never ends
	Note  string    // the text behind #
}

// Describer gives the entry behind the number that a lookup returned. Entries
// are put into words only when somebody reads them, not for every question.
type Describer interface {
	// Entry describes entry id, which held a client at addr.
	Entry(id int32, addr netip.Addr) Entry
}

// Status is what a source knows of a client.
type Status uint8

const (
	// NoMatch: the list does not hold the client.
	NoMatch Status = iota
	// Matched: the list holds the client.
	Matched
	// Exception: a hole in the list holds the client, so the list does not.
	Exception
	// Unavailable: the source cannot say; it was never loaded, is stale or is
	// unreachable.
	Unavailable
	// Pending: the source cannot say yet; it is finding out, and did not wait
	// for that, or no longer.
	Pending
)

// Match is a source's answer. By and ID name the deciding entry if Status is
// Held or Excepted.
type Match struct {
	Status Status
	ID     int32
	By     Describer
}

// Entry describes the deciding entry for a client at addr; it is zero if
// there is none.
func (f Match) Entry(addr netip.Addr) Entry {
	if f.By == nil {
		return Entry{}
	}
	return f.By.Entry(f.ID, addr)
}

// Source is what fills a list.
type Source interface {
	// Lookup says whether the list holds c. It must be safe for concurrent
	// use, must not fail, and may wait no longer than ctx allows: with a
	// ctx that is done it answers from memory, and with Pending it begins to
	// find out what it does not know.
	Lookup(ctx context.Context, c Client) Match
}

// NameUser is a source that may want to know the client's verified host name.
type NameUser interface {
	UsesNames() bool
}

// NameVerifier finds out the verified host names of clients.
type NameVerifier interface {
	// Verify gives the name by forward-confirmed reverse DNS (RFC 8601
	// section 2.7.3) in the spelling of NormalizeName, with Held; Absent if addr has
	// none; Pending or Unavailable as a Source would, and with the same regard
	// for ctx.
	Verify(ctx context.Context, addr netip.Addr) (name string, status Status)
}

// TraceStep is one thing that a source or Names knows of a client, and how, for
// those who want to see why.
type TraceStep struct {
	Query  string        `json:"query"`           // the question, such as "2.0.0.127.list.example A"
	Answer string        `json:"answer"`          // what came back, or why nothing did
	Means  string        `json:"means,omitempty"` // what follows from it for the list
	From   string        `json:"from,omitempty"`  // "memory", "cache, stale", "in flight"; empty: never asked
	Age    time.Duration `json:"age,omitempty"`   // since it came, ns
	TTL    time.Duration `json:"ttl,omitempty"`   // for which it still counts, ns; less than 0: too old
}

// Tracer is a source, or Names, that can tell how it comes to its answers. It
// tells from memory and asks nobody.
type Tracer interface {
	Trace(c Client) []TraceStep
}

// List is a named source of entries with an action.
type List struct {
	Name   string
	Action Action
	Mode   Mode
	Source Source
	// External: what it holds is not written by the operator of this server, as
	// with a feed or a list by DNS. A Guard may hold it back from suppressing.
	External bool
}
