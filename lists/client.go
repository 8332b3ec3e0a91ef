package lists

import (
	"fmt"
	"net/netip"
	"strings"
	"unsafe"
)

// Client is what is known of an SMTP client. Any part can be missing.
type Client struct {
	// Addr is unmapped and has no zone; the zero Addr means "not known".
	Addr netip.Addr
	// Name is the host name verified by forward-confirmed reverse DNS, in the spelling of NormalizeName; empty if not known
	// or not verified.
	Name string
	// NameStatus is Pending or Unavailable if it is not known, or not yet, whether the client has a verified name; else it is
	// NoMatch.
	NameStatus Status
	// Service is what kind of service the client is connected to.
	Service Service
	// Profile reports that the question is not what the client is offered, but which versions of TLS it is served, now that it
	// has asked for TLS. It is the second question of that session.
	Profile bool

	// HELO is the argument of HELO or EHLO (RFC 5321 section 4.1.1.1), in the spelling of NormalizeName. The client claims it;
	// it is not verified.
	HELO string
}

// Service is a kind of SMTP service.
type Service uint8

const (
	// SMTP is the service between mail servers, on port 25 (RFC 5321).
	SMTP Service = iota
	// Submission is the service for mail programs, on ports 587 (RFC 6409) and 465 (RFC 8314). STARTTLS is never hidden there:
	// passwords would go in the clear.
	Submission
)

var serviceNames = [...]string{SMTP: "smtp", Submission: "submission"}

// String returns the word used in config and logs.
func (s Service) String() string { return enumName(serviceNames[:], int(s)) }

// MarshalText returns the same word as String; it never fails.
func (s Service) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Service) UnmarshalText(text []byte) error {
	i, err := parseEnum("service", serviceNames[:], text)
	*s = Service(i)
	return err
}

// Services is a set of services. The zero set is that of SMTP alone.
type Services uint8

// NewServices returns a set of services.
func NewServices(services ...Service) (s Services) {
	for _, service := range services {
		s |= 1 << service
	}
	if s == 1<<SMTP {
		return 0
	}
	return s
}

// All returns the services of the set.
func (s Services) All() (all []Service) {
	for service := range Service(len(serviceNames)) {
		if s.Has(service) {
			all = append(all, service)
		}
	}
	return all
}

// Has reports whether the set has a service.
func (s Services) Has(service Service) bool {
	return s == 0 && service == SMTP || s&(1<<service) != 0
}

// ParseAddr reads a client address as mail servers spell it: IPv4, IPv6, IPv4-mapped IPv6 (which becomes IPv4), in brackets
// or not, with an "IPv6:" prefix in any case (RFC 5321 section 4.1.3), with a zone (which is dropped).
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(trimAddr(s))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("invalid IP address %q", s)
	}
	return a.Unmap(), nil
}

// ParseAddrBytes is ParseAddr without an allocation, for the query path. It reports only whether b is an address.
func ParseAddrBytes(b []byte) (netip.Addr, bool) {
	if len(b) == 0 {
		return netip.Addr{}, false
	}
	// The string shares b's memory; only an error would keep it.
	a, err := netip.ParseAddr(trimAddr(unsafe.String(&b[0], len(b))))
	return a.Unmap(), err == nil
}

// trimAddr removes brackets, prefix and zone. A zone names an interface of this host and says nothing about the client.
func trimAddr(s string) string {
	if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		s = s[1 : n-1]
	}
	if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
		s = s[5:]
	}
	s, _, _ = strings.Cut(s, "%")
	return s
}
