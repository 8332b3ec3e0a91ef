package lists

import (
	"net/netip"
	"time"
)

// Status is what a source knows of a client.
type Status uint8

const (
	// NoMatch means that the list does not match the client.
	NoMatch Status = iota
	// Matched means that the list matches the client.
	Matched
	// Exception means that an exception decides, so the list does not match.
	Exception
	// Unavailable means that the source cannot say: it was never loaded, is expired or is unreachable.
	Unavailable
	// Pending means that the source cannot say yet: it is looking it up.
	Pending
)

// Source is what fills a list.
type Source interface {
	// Lookup returns at once what is known of c. What is not known it starts to look up, and returns Pending. It must be safe
	// for concurrent use and cannot fail.
	Lookup(c Client) Match
}

// SessionSource is a source that gives some sessions another answer than others, such as one that offers STARTTLS now and
// then to find out whether it works by now.
type SessionSource interface {
	Source
	// LookupSession is Lookup for a new session, which counts. Until the next one, Lookup returns the same.
	LookupSession(c Client) Match
}

// PendingSource is a source that can say Pending.
type PendingSource interface {
	Source
	// LookupTurn is Lookup for a caller that may have put the question before.
	LookupTurn(c Client, t Turn) Match
}

// Turn is how often a caller put a question.
type Turn uint8

const (
	// First means that the question is new.
	First Turn = iota
	// Again means that its answer was pending. It is not counted again.
	Again
	// Last is Again for a caller that waits no longer: an answer that is too old counts if there is no better one.
	Last
)

// Match is a source's answer.
type Match struct {
	Status Status
	// ID and By name the deciding entry if Status is Matched or Exception.
	ID int32
	By Describer
	// Ready has, if Status is Pending, a channel for each lookup in progress. The source knows more as soon as one of them is
	// closed.
	Ready []<-chan struct{}
}

// Entry describes the deciding entry for a client at addr; it is zero if there is none.
func (m Match) Entry(addr netip.Addr) Entry {
	if m.By == nil {
		return Entry{}
	}
	return m.By.Entry(m.ID, addr)
}

// Entry is one condition of a list as its author wrote it.
type Entry struct {
	Text  string    // the condition in its normal spelling, with ! for an exception
	File  string    // the file that has it; empty for sources without files
	Line  int       // from 1; 0 without a file
	Until time.Time // the first instant at which it no longer counts; zero if it never ends
	Note  string    // the text behind #
}

// Describer returns the entry behind a Match. Entries are described only when they are shown, not for every question.
type Describer interface {
	// Entry describes entry id, which matched a client at addr.
	Entry(id int32, addr netip.Addr) Entry
}

// TextDescriber is a Describer that can write the text of an entry by itself, in a fraction of the time of Entry.
type TextDescriber interface {
	Describer
	// AppendEntryText appends Entry(id, addr).Text to out.
	AppendEntryText(out []byte, id int32, addr netip.Addr) []byte
}

// NameUser is a source that may need the client's verified host name.
type NameUser interface {
	UsesNames() bool
}

// NameVerifier looks up the verified host names of clients, by forward-confirmed reverse DNS (RFC 8601 section 2.7.3).
type NameVerifier interface {
	// Verify returns at once what is known, as PendingSource.LookupTurn does.
	Verify(addr netip.Addr, t Turn) NameMatch
}

// NameMatch is the answer of a NameVerifier.
type NameMatch struct {
	Name   string // in the spelling of NormalizeName, if Status is Matched
	Status Status // NoMatch: the address has no verified name
	Ready  []<-chan struct{}
}

// TraceStep is one thing that a Source or NameVerifier knows of a client, and how, for operators.
type TraceStep struct {
	Query  string        `json:"query"`            // the question, such as "2.0.0.127.list.example A"
	Answer string        `json:"answer"`           // the answer, or why there is none
	Effect string        `json:"effect,omitempty"` // what follows from it for the list
	From   string        `json:"from,omitempty"`   // "cache", "cache, stale", "in flight"; empty: never queried
	Age    time.Duration `json:"age,omitempty"`    // since it arrived, ns
	TTL    time.Duration `json:"ttl,omitempty"`    // for which it still counts, ns; less than 0: expired
}

// Tracer is a Source or NameVerifier that can explain its answers. It explains from its cache and sends no query.
type Tracer interface {
	Trace(c Client) []TraceStep
}
