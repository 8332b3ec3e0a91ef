// Package resolve asks DNS resolvers (RFC 1035) and says precisely what came
// of it: an answer, the certainty that there is none, or why neither is known.
//
// It is a stub: it sends questions to recursive resolvers, by UDP with EDNS
// (RFC 6891) and by TCP where a reply does not fit, and follows nothing itself. It
// keeps no cache; whoever asks knows best what is worth keeping.
package dnsclient

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Options says whom a Client asks, and how long.
type Options struct {
	Servers []netip.AddrPort // asked in this order; those that do not answer come last for a while
	Timeout time.Duration    // of one attempt, its TCP included; 0: two seconds
	Tries   int              // attempts in all, by turns; 0: three
}

// Answer is what a resolver said for certain.
type Answer struct {
	// Records are those of the type that was asked for, behind any CNAME (RFC
	// 1034 section 3.6.2). None: the name does not exist or has none of them.
	Records []dns.RR
	// TTL is how long that holds: the least of the records and aliases, or, of
	// the absence, by the SOA record (RFC 2308 section 5); 0 if there was none.
	TTL time.Duration
	// Authentic: the resolver vouches for it by DNSSEC (the AD bit, RFC 6840
	// section 5.8). That is worth as much as the way to the resolver.
	Authentic bool
	Server    netip.AddrPort // that said so
}

// Resolver asks one question. Client is one; so is what tests put in its place.
type Resolver interface {
	// Query asks for the records of a type (dns.TypeA and so on) at name, a
	// domain name from the root, with or without the last dot. It returns when
	// ctx ends. An error is *Error.
	Query(ctx context.Context, name string, qtype uint16) (Answer, error)
}

// Kind is why there is no answer.
type Kind uint8

const (
	// Unreachable: no server could be spoken to.
	Unreachable Kind = iota
	// Timeout: no server answered in time, or the context ended before.
	Timeout
	// ServFail: the server could not find out (SERVFAIL), as with a zone that
	// is down or fails DNSSEC.
	ServFail
	// Refused: the server does not want to answer (REFUSED, NOTIMP), or does
	// not ask others for us.
	Refused
	// Malformed: what came back is no answer to the question, or not a whole
	// one, or the question is none.
	Malformed
)

// String gives the word that stands in logs and metrics.
func (k Kind) String() string {
	return [...]string{"unreachable", "timeout", "servfail", "refused", "malformed"}[k]
}

// Error is why a question was not answered. If several servers were asked it is
// the failure that tells most: of SERVFAIL and a timeout, say, the former.
type Error struct {
	Kind   Kind
	Name   string
	Type   uint16
	Server netip.AddrPort // that failed so; not valid if none was asked
	Err    error          // may be nil
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %s", e.Name, dns.Type(e.Type), e.Kind)
	if e.Server.IsValid() {
		s += " from " + e.Server.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of an error of Ask.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unreachable
}
