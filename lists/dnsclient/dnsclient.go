// Package dnsclient sends queries to DNS resolvers (RFC 1035), and returns an answer, the certainty that there is none,
// or why neither is known.
//
// It is a stub: it sends queries to recursive resolvers, by UDP with EDNS (RFC 6891), and by TCP where a reply does not
// fit, and follows referrals nowhere. It has no cache: callers know best what is worth keeping.
package dnsclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Options says which resolvers a Client queries, and for how long.
type Options struct {
	Servers []netip.AddrPort // tried in this order; one that does not answer comes last for a while
	Timeout time.Duration    // of one attempt, its TCP included; 0: two seconds
	Tries   int              // attempts in all, at one server after the other; 0: three
}

// Answer is what a resolver knows for certain.
type Answer struct {
	// Records are those of the type in the query, behind any CNAME (RFC 1034 section 3.6.2). None: the name does not
	// exist, or has none of them.
	Records []dns.RR
	// TTL is how long that is valid: the least of the records and aliases, or, if there are none, by the SOA record
	// (RFC 2308 section 5); 0 if there was no SOA record.
	TTL time.Duration
	// Authentic: the resolver has validated it by DNSSEC (the AD bit, RFC 6840 section 5.8). That is worth as much as
	// the way to the resolver.
	Authentic bool
	Server    netip.AddrPort // the resolver
}

// Addrs returns the addresses in A and AAAA records.
func (a Answer) Addrs() (addrs []netip.Addr) {
	for _, rr := range a.Records {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, addr.Unmap())
		}
	}
	return addrs
}

// Resolver sends one query. [Client] is one; tests have others.
type Resolver interface {
	// Query looks up the records of a type (dns.TypeA and so on) at name, a domain name from the root, with or without
	// the last dot. It returns when ctx ends. An error is *Error.
	Query(ctx context.Context, name string, qtype uint16) (Answer, error)
}

// Kind is why there is no answer. The kinds are in the order of how much they say about the name, and not about the way
// to a server.
type Kind uint8

const (
	// Unreachable: no server could be reached.
	Unreachable Kind = iota
	// Timeout: no server answered in time, or the context ended before.
	Timeout
	// Malformed: the reply is invalid, incomplete, or not about the query; or the name in the query is invalid.
	Malformed
	// Refused: the server refuses to answer (REFUSED, NOTIMP), or does not resolve for its clients.
	Refused
	// ServFail: the server could not find out (SERVFAIL), as with a zone that is down or fails DNSSEC.
	ServFail
	// Bogus: there is a BogusError. Callers find that out, not a Client.
	Bogus

	// KindCount is the number of kinds.
	KindCount
)

// String returns the word that logs and metrics have.
func (k Kind) String() string {
	return [...]string{"unreachable", "timeout", "malformed", "refused", "servfail", "bogus"}[k]
}

// Answered reports whether a server sent a reply at all.
func (k Kind) Answered() bool { return k != Unreachable && k != Timeout }

// Error is why there is no answer. If several servers failed, it is the failure that says most about the name: of
// SERVFAIL and a timeout, the former.
type Error struct {
	Kind   Kind
	Name   string
	Type   uint16
	Server netip.AddrPort // that failed; not valid if none was queried
	Err    error          // may be nil
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %s", e.Name, dns.Type(e.Type), e.Reason()) }

// Reason returns the error without the query, which can name a client.
func (e *Error) Reason() string {
	s := e.Kind.String()
	if e.Server.IsValid() {
		s += " from " + e.Server.String()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// BogusError is an answer that proves that the zone or resolver is not what it should be, such as a listing of all
// addresses.
type BogusError interface {
	error
	BogusAnswer()
}

// IsBogus reports whether err is a BogusError.
func IsBogus(err error) bool { return errors.As(err, new(BogusError)) }

// KindOf returns why a query failed with err.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case IsBogus(err):
		return Bogus
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.As(err, &e):
		return e.Kind
	}
	return Unreachable
}
