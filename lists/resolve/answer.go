package resolve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

var (
	// errEDNS: the server may answer if it is asked without EDNS.
	errEDNS = errors.New("it does not understand the question")
	// errCut: the reply is not whole, or not one.
	errCut = errors.New("a broken reply")
)

// maxRecords of a reply are unpacked.
const maxRecords = 512

// maxAliases is how many CNAME records are followed: what resolvers do.
const maxAliases = 16

// read gives the answer that is in a reply.
func read(b []byte) (Answer, *failure) {
	var m dns.Msg
	if len(b) < header {
		return Answer{}, &failure{Malformed, errCut}
	}
	// A client chooses what its reverse zone says, and 64 kB of compressed names are
	// megabytes of strings.
	if n := int(binary.BigEndian.Uint16(b[6:])) + int(binary.BigEndian.Uint16(b[8:])) + int(binary.BigEndian.Uint16(b[10:])); n > maxRecords {
		return Answer{}, &failure{Malformed, fmt.Errorf("it has %d records", n)}
	}
	if err := m.Unpack(b); err != nil {
		// What it does not know it may not have sent back properly either.
		if code := rcode(b); code == dns.RcodeSuccess || code == dns.RcodeNameError {
			return Answer{}, &failure{Malformed, fmt.Errorf("%w: %w", errCut, err)}
		}
	}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return Answer{}, &failure{ServFail, nil}
	case dns.RcodeRefused:
		return Answer{}, &failure{Refused, nil}
	case dns.RcodeNotImplemented:
		return Answer{}, &failure{Refused, errEDNS}
	case dns.RcodeFormatError, dns.RcodeBadVers:
		return Answer{}, &failure{Malformed, errEDNS}
	default:
		return Answer{}, &failure{Malformed, fmt.Errorf("it said %s", dns.RcodeToString[m.Rcode])}
	}
	// Unpack is content with fewer records than were announced.
	if len(m.Question) != 1 || len(m.Answer) != int(binary.BigEndian.Uint16(b[6:])) || len(m.Ns) != int(binary.BigEndian.Uint16(b[8:])) {
		return Answer{}, &failure{Malformed, fmt.Errorf("%w: records are missing", errCut)}
	}
	return answer(&m)
}

// answer follows the aliases within a reply to the records, or to the proof
// that there are none.
func answer(m *dns.Msg) (Answer, *failure) {
	a := Answer{Authentic: m.AuthenticatedData}
	name, qtype := m.Question[0].Name, m.Question[0].Qtype
	least := uint32(maxTTL)
	for aliases := 0; ; aliases++ {
		target := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) {
				continue
			}
			if alias, ok := rr.(*dns.CNAME); ok && target == "" {
				target = alias.Target
				least = min(least, ttl(h.Ttl))
			}
			if h.Rrtype == qtype {
				a.Records = append(a.Records, rr)
				least = min(least, ttl(h.Ttl))
			}
		}
		if target == "" || a.Records != nil {
			break
		}
		if aliases == maxAliases {
			return Answer{}, &failure{Malformed, fmt.Errorf("more than %d aliases, or a loop of them", maxAliases)}
		}
		name = target
	}
	if a.Records != nil {
		if m.Rcode == dns.RcodeNameError {
			return Answer{}, &failure{Malformed, errors.New("records of a name that it says does not exist")}
		}
		a.TTL = time.Duration(least) * time.Second
		return a, nil
	}
	absent, ok := absence(m, name)
	if !ok {
		return Answer{}, &failure{Refused, errors.New("it refers us to other servers; name one that resolves for its clients")}
	}
	a.TTL = time.Duration(min(least, absent)) * time.Second
	return a, nil
}

// absence is for how many seconds m proves that name has no such records; it is
// no such proof if it names servers that should know.
func absence(m *dns.Msg, name string) (seconds uint32, ok bool) {
	ok = true
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			if dns.IsSubDomain(rr.Hdr.Name, name) {
				return min(ttl(rr.Hdr.Ttl), ttl(rr.Minttl)), true
			}
		case *dns.NS:
			ok = m.Authoritative || m.Rcode == dns.RcodeNameError
		}
	}
	return 0, ok
}

const maxTTL = 1<<31 - 1

// ttl is 0 for what is out of range (RFC 2181 section 8).
func ttl(s uint32) uint32 {
	if s > maxTTL {
		return 0
	}
	return s
}
