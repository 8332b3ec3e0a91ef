// Package policyd is what the lookup protocols of Postfix and its kin share:
// whom they ask, how a decision is put into words, and how a connection is
// served. Each protocol is a folder below: it only takes requests apart and
// puts replies together, and touches no socket.
//
// Whatever cannot be understood or decided gets the answer that offers
// STARTTLS, is counted, and is told to the operator. The one exception is
// framing: where a request ends can no longer be known, the connection is
// closed, since any answer might be taken for that to another question.
//
// A question by address is taken apart where it lies in the buffer and answered
// into another that is kept: nothing is allocated or locked, and the clock is
// read once. So most of what it costs are the two system calls that it takes to
// hear it and to answer ("make bench" compares with those alone).
package policyd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"ehlogate/lists"
)

// Decider answers for one client. It has no error and never waits without a
// bound; see lists.Policy.Decide.
type Decider interface {
	Decide(ctx context.Context, c lists.Client) lists.Decision
}

// DeciderFunc is a function as a Decider.
type DeciderFunc func(ctx context.Context, c lists.Client) lists.Decision

// Decide calls f.
func (f DeciderFunc) Decide(ctx context.Context, c lists.Client) lists.Decision { return f(ctx, c) }

// NoWait is done: what is decided with it is decided from memory. It is for all
// that a request asks behind the first, which has waited for all.
var NoWait = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Backend is what a protocol is made with.
type Backend struct {
	Decider Decider
	// Keywords gives the words for a decision; for the zero Decision the present
	// ones. A reload of the config may change them.
	Keywords func(d lists.Decision) *Keywords
	// Fault notes something wrong in a request: one of the Fault constants,
	// and what it was about, good until Fault returns. It must not block.
	Fault func(reason string, about []byte)
}

// The reasons for Backend.Fault, label values of
// ehlogate_protocol_errors_total.
const (
	FaultKey       = "key"       // a key that is no address or name
	FaultMap       = "map"       // a map that is not served
	FaultCommand   = "command"   // a command that is not known
	FaultMalformed = "malformed" // a broken frame
	FaultOversize  = "oversize"  // a frame above the limit
	FaultTruncated = "truncated" // the connection ended within a frame
	FaultTimeout   = "timeout"   // a frame took too long to arrive or a reply to leave
)

// ErrQuit is returned by Protocol.Answer if the client said goodbye.
var ErrQuit = errors.New("quit")

// FrameError is returned by Protocol.Answer if it is no longer known where
// requests begin and end. Its value is a Fault constant.
type FrameError string

func (e FrameError) Error() string { return "broken frame: " + string(e) }

// Keywords are the values that Postfix reads as lists of EHLO keywords to
// discard, postconf(5) smtpd_discard_ehlo_keyword_address_maps.
type Keywords struct {
	// Suppress hides STARTTLS.
	Suppress string
	// Offer hides nothing that is not always hidden; it is empty if an
	// offer is to be the absence of an answer.
	Offer string
}

// NewKeywords makes the words for alwaysHide, the keywords of
// smtpd_discard_ehlo_keywords, which an answer replaces and has to repeat.
func NewKeywords(alwaysHide []string, explicitOffer bool) *Keywords {
	w := &Keywords{Suppress: joinKeywords(alwaysHide, "starttls")}
	if explicitOffer {
		w.Offer = joinKeywords(alwaysHide, "silent-discard")
	}
	return w
}

// join lists keywords, with last, each once.
func joinKeywords(keywords []string, last string) string {
	var out []string
	for _, k := range append(slices.Clip(keywords), last) {
		if !slices.ContainsFunc(out, func(o string) bool { return strings.EqualFold(o, k) }) {
			out = append(out, k)
		}
	}
	return strings.Join(out, ", ")
}

// ParseClientKey reads a key of the form ADDR or ADDR NAME, and gives what follows
// the address. ok is false if there is no address.
func ParseClientKey(key []byte) (c lists.Client, rest []byte, ok bool) {
	for i, b := range key {
		if b == ' ' {
			key, rest = key[:i], key[i+1:]
			break
		}
	}
	c.Addr, ok = lists.ParseAddrBytes(key)
	return c, rest, ok
}
