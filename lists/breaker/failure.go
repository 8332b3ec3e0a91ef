package breaker

import (
	"context"
	"errors"

	"ehlogate/lists/dnsclient"
)

// BogusError is an answer that proves that the upstream is not what it should be, such as a listing of all addresses.
type BogusError interface {
	error
	BogusAnswer()
}

// Failure is why a query has no answer: a dnsclient.Kind plus 1, or Bogus; 0 if it has one.
type Failure uint8

const (
	// Bogus means that there was an answer, and that it is a BogusError.
	Bogus = Failure(dnsclient.Malformed) + 2
	// Failures is the number of failures, with 0.
	Failures = int(Bogus) + 1
)

// FailureOf returns the failure of an error of a query.
func FailureOf(err error) Failure {
	switch {
	case errors.As(err, new(BogusError)):
		return Bogus
	case errors.Is(err, context.DeadlineExceeded):
		return Failure(dnsclient.Timeout) + 1
	}
	return Failure(dnsclient.KindOf(err)) + 1
}

// String returns the word used in metrics.
func (f Failure) String() string {
	switch f {
	case 0:
		return ""
	case Bogus:
		return "bogus"
	}
	return dnsclient.Kind(f - 1).String()
}

// Answered reports whether a server sent a reply at all.
func (f Failure) Answered() bool {
	return f != Failure(dnsclient.Timeout)+1 && f != Failure(dnsclient.Unreachable)+1
}

// describe returns the failure with its server, but without the query, which can name a client.
func describe(err error) string {
	var bogus BogusError
	if errors.As(err, &bogus) {
		return bogus.Error()
	}
	s := FailureOf(err).String()
	var e *dnsclient.Error
	if !errors.As(err, &e) {
		return s
	}
	if e.Server.IsValid() {
		s += " from " + e.Server.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}
