package dnsbl

import (
	"context"
	"errors"

	"ehlogate/lists/dnsclient"
)

// bogusAnswer is an answer that shows an origin not to be what it should be.
type bogusAnswer string

func (l bogusAnswer) Error() string { return string(l) }

// reason is why there is no answer: one of resolve.Kind from 1, or notBelieved;
// 0: no reason.
type reason uint8

const notBelieved = reason(dnsclient.Malformed) + 2

func reasonOf(err error) reason {
	var l bogusAnswer
	switch {
	case errors.As(err, &l):
		return notBelieved
	case errors.Is(err, context.DeadlineExceeded):
		return reason(dnsclient.Timeout) + 1
	}
	return reason(dnsclient.KindOf(err)) + 1
}

// String gives the word that stands in metrics.
func (r reason) String() string {
	switch r {
	case 0:
		return ""
	case notBelieved:
		return "not-believed"
	}
	return dnsclient.Kind(r - 1).String()
}

// alive says whether somebody said something.
func (r reason) alive() bool {
	return r != reason(dnsclient.Timeout)+1 && r != reason(dnsclient.Unreachable)+1
}

// text tells of a failure without the question, which may name a client.
func (r reason) text(err error) string {
	var e *dnsclient.Error
	if !errors.As(err, &e) {
		return r.String()
	}
	s := r.String()
	if e.Server.IsValid() {
		s += " from " + e.Server.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}
