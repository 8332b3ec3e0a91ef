// Package policyd has what the lookup protocols of mail servers share: the [Backend] that decides, the [Values] of an
// answer, and [Serve], which runs a [Protocol] on a connection. Each protocol is a package below this one. It parses
// requests and formats replies, and uses no socket.
//
// A request that cannot be understood or decided gets the answer that offers STARTTLS, and is reported as a fault. The
// exception is framing: if the end of a request is unknown, the connection is closed, since the mail server might take any
// reply for the reply to another request.
//
// A lookup by address allocates no memory, takes no lock, and reads the clock once. Nearly all of its cost are the two
// system calls for the request and the reply ("make bench" compares it with an echo server).
package policyd

import (
	"errors"

	"ehlogate/lists"
)

// Backend is what all protocols are configured with.
type Backend struct {
	Decider lists.Decider
	// Cached decides without a wait, for the further questions of a request: the first one has waited for all of them. nil:
	// Decider does, and waits for each.
	Cached lists.Decider
	// Values returns the values that a map has: those of the config that the decision was made from, or of the present
	// config for the zero Decision.
	Values func(d lists.Decision) *Values
	// Fault reports an invalid request: reason is one of the Fault constants, about the request or the part of it that
	// is invalid. about may be reused when Fault returns. Fault must not block.
	Fault func(reason string, about []byte)
}

// Further returns the Decider for the further questions of a request.
func (b *Backend) Further() lists.Decider {
	if b.Cached != nil {
		return b.Cached
	}
	return b.Decider
}

// The reasons of Backend.Fault, label values of ehlogate_protocol_errors_total.
const (
	FaultKey       = "key"       // a key that is not an address or a name
	FaultMap       = "map"       // an unknown map
	FaultCommand   = "command"   // an unknown command
	FaultMalformed = "malformed" // a malformed frame
	FaultOversize  = "oversize"  // a frame longer than the limit
	FaultTruncated = "truncated" // the connection ended within a frame
	FaultTimeout   = "timeout"   // a frame took too long to arrive or a reply to leave
)

// ErrQuit is returned by Protocol.Answer if the client asked to close the connection.
var ErrQuit = errors.New("quit")

// FrameError is returned by Protocol.Answer if the begin of the next request is unknown. Its value is a Fault constant.
type FrameError string

func (e FrameError) Error() string { return "framing error: " + string(e) }
