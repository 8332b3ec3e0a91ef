package dnsclient

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

// read returns the answer that is in a reply. One that is not whole is no answer,
// however much of it is there: what is missing may be what was asked for.
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
	if err := whole(b, &m); err != nil {
		return Answer{}, &failure{Malformed, err}
	}
	return answer(&m)
}

// whole returns what is missing from m, which was unpacked from b. Unpack is
// content with fewer records than were announced, among which may be the OPT record
// that has a part of the response code, and with bytes behind them.
func whole(b []byte, m *dns.Msg) error {
	announced := func(at int) int { return int(binary.BigEndian.Uint16(b[at:])) }
	switch {
	case m.Truncated:
		return fmt.Errorf("%w: it is truncated (TC), also by TCP", errCut)
	case len(m.Question) != 1 || announced(4) != 1:
		return fmt.Errorf("%w: %d questions", errCut, announced(4))
	case len(m.Answer) != announced(6), len(m.Ns) != announced(8), len(m.Extra) != announced(10):
		return fmt.Errorf("%w: records are missing", errCut)
	case ends(b, len(m.Answer)+len(m.Ns)+len(m.Extra)) != len(b):
		return fmt.Errorf("%w: there is more behind the records that it announces", errCut)
	}
	return nil
}

// ends returns where the last of n records ends in a message that was unpacked,
// with one question.
func ends(b []byte, n int) int {
	const typeAndClass, behindName = 4, 10 // the latter: type, class, TTL and length
	at := skipName(b, header) + typeAndClass
	for range n {
		at = skipName(b, at) + behindName
		at += int(binary.BigEndian.Uint16(b[at-2:]))
	}
	return at
}

// skipName returns where the name at an offset of b ends.
func skipName(b []byte, at int) int {
	for {
		switch n := int(b[at]); {
		case n == 0:
			return at + 1
		case n >= 0xc0: // a pointer (RFC 1035 section 4.1.4)
			return at + 2
		default:
			at += 1 + n
		}
	}
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
	absent, f := absence(m, name)
	if f != nil {
		return Answer{}, f
	}
	a.TTL = time.Duration(min(least, absent)) * time.Second
	return a, nil
}

// absence returns for how many seconds m proves that name, to which its aliases
// lead, has no such records (RFC 2308 section 2). The proof is the response code,
// an SOA record, or a reply with nothing in it. It is none if m names servers that
// should know, or if it has other records in place of those that were asked for.
func absence(m *dns.Msg, name string) (seconds uint32, f *failure) {
	refers := false
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			if dns.IsSubDomain(rr.Hdr.Name, name) {
				return min(ttl(rr.Hdr.Ttl), ttl(rr.Minttl)), nil
			}
		case *dns.NS:
			refers = !m.Authoritative
		}
	}
	switch {
	case m.Rcode == dns.RcodeNameError:
		return 0, nil
	case refers:
		return 0, &failure{Refused, errors.New("it refers to other servers; name one that resolves for its clients")}
	case len(m.Answer) > 0 && name != m.Question[0].Name:
		return 0, &failure{Malformed, fmt.Errorf("it has an alias to %q, and says nothing about that name", name)}
	case len(m.Answer) > 0:
		return 0, &failure{Malformed, errors.New("it has records, and none that was asked for")}
	}
	return 0, nil
}

const maxTTL = 1<<31 - 1

// ttl is 0 for what is out of range (RFC 2181 section 8).
func ttl(s uint32) uint32 {
	if s > maxTTL {
		return 0
	}
	return s
}
