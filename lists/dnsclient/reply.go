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
	// errEDNS: the server may answer a query without EDNS.
	errEDNS = errors.New("the server does not understand the query")
	// errInvalid: the reply is incomplete, or no DNS message.
	errInvalid = errors.New("invalid message")
)

// maxRecords of a reply are unpacked.
const maxRecords = 512

// maxAliases is how many CNAME records are followed, as in resolvers.
const maxAliases = 16

// parseReply returns the answer in a reply. An incomplete reply has no answer, however much of it is there: what is
// missing may be the records of the query.
func parseReply(b []byte) (Answer, *Error) {
	fail := func(kind Kind, err error) (Answer, *Error) { return Answer{}, &Error{Kind: kind, Err: err} }
	if len(b) < headerSize {
		return fail(Malformed, errInvalid)
	}
	// A client chooses what its reverse zone has, and 64 kB of compressed names are megabytes of strings.
	if n := recordCount(b, 1) + recordCount(b, 2) + recordCount(b, 3); n > maxRecords {
		return fail(Malformed, fmt.Errorf("too many records: %d, at most %d are accepted", n, maxRecords))
	}
	var m dns.Msg
	if err := m.Unpack(b); err != nil {
		// With another code it may be that the server did not understand the query, and so could not return it.
		if code := responseCode(b); code == dns.RcodeSuccess || code == dns.RcodeNameError {
			return fail(Malformed, fmt.Errorf("%w: %w", errInvalid, err))
		}
	}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
	case dns.RcodeServerFailure:
		return fail(ServFail, nil)
	case dns.RcodeRefused:
		return fail(Refused, nil)
	case dns.RcodeNotImplemented:
		return fail(Refused, errEDNS)
	case dns.RcodeFormatError, dns.RcodeBadVers:
		return fail(Malformed, errEDNS)
	default:
		return fail(Malformed, fmt.Errorf("response code %s", dns.RcodeToString[m.Rcode]))
	}
	if err := checkComplete(b, &m); err != nil {
		return fail(Malformed, err)
	}
	return findAnswer(&m)
}

// recordCount returns how many records the header of b announces for a section: 0 is the question, 1 the answer.
func recordCount(b []byte, section int) int { return int(binary.BigEndian.Uint16(b[4+2*section:])) }

// checkComplete returns what is missing from m, which was unpacked from b. Unpack accepts fewer records than were
// announced, among which may be the OPT record that has a part of the response code, and bytes behind them.
func checkComplete(b []byte, m *dns.Msg) error {
	switch {
	case m.Truncated:
		return fmt.Errorf("%w: truncated (TC), also by TCP", errInvalid)
	case len(m.Question) != 1 || recordCount(b, 0) != 1:
		return fmt.Errorf("%w: %d questions", errInvalid, recordCount(b, 0))
	case len(m.Answer) != recordCount(b, 1), len(m.Ns) != recordCount(b, 2), len(m.Extra) != recordCount(b, 3):
		return fmt.Errorf("%w: records are missing", errInvalid)
	case messageEnd(b, len(m.Answer)+len(m.Ns)+len(m.Extra)) != len(b):
		return fmt.Errorf("%w: more bytes than records", errInvalid)
	}
	return nil
}

// messageEnd returns where the last of n records ends in a message with one question, which was unpacked before.
func messageEnd(b []byte, n int) int {
	const typeAndClass = 4
	_, end, _ := dns.UnpackDomainName(b, headerSize)
	end += typeAndClass
	for range n {
		_, end, _ = dns.UnpackRR(b, end)
	}
	return end
}

// findAnswer follows the aliases within a reply to the records, or to the proof that there are none.
func findAnswer(m *dns.Msg) (Answer, *Error) {
	fail := func(format string, args ...any) (Answer, *Error) {
		return Answer{}, &Error{Kind: Malformed, Err: fmt.Errorf(format, args...)}
	}
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
				least = min(least, validTTL(h.Ttl))
			}
			if h.Rrtype == qtype {
				a.Records = append(a.Records, rr)
				least = min(least, validTTL(h.Ttl))
			}
		}
		if target == "" || a.Records != nil {
			break
		}
		if aliases == maxAliases {
			return fail("more than %d aliases, or a loop of them", maxAliases)
		}
		name = target
	}
	if a.Records == nil {
		negative, err := negativeTTL(m, name)
		if err != nil {
			return Answer{}, err
		}
		least = min(least, negative)
	} else if m.Rcode == dns.RcodeNameError {
		return fail("NXDOMAIN, and records of the name")
	}
	a.TTL = time.Duration(least) * time.Second
	return a, nil
}

// negativeTTL returns for how many seconds m proves that name, to which its aliases lead, has no such records (RFC 2308
// section 2). The proof is the response code, an SOA record, or a reply with nothing in it. There is none if m refers
// to other servers, or has records of another type instead.
func negativeTTL(m *dns.Msg, name string) (seconds uint32, _ *Error) {
	refers := false
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			if dns.IsSubDomain(rr.Hdr.Name, name) {
				return min(validTTL(rr.Hdr.Ttl), validTTL(rr.Minttl)), nil
			}
		case *dns.NS:
			refers = !m.Authoritative
		}
	}
	switch {
	case m.Rcode == dns.RcodeNameError:
	case refers:
		return 0, &Error{Kind: Refused, Err: errors.New("referral to other servers: configure a server that resolves for its clients")}
	case len(m.Answer) > 0 && name != m.Question[0].Name:
		return 0, &Error{Kind: Malformed, Err: errors.New("alias without records of the name that it leads to")}
	case len(m.Answer) > 0:
		return 0, &Error{Kind: Malformed, Err: errors.New("only records of other names or types")}
	}
	return 0, nil
}

const maxTTL = 1<<31 - 1

// validTTL returns 0 for a TTL that is out of range (RFC 2181 section 8).
func validTTL(ttl uint32) uint32 {
	if ttl > maxTTL {
		return 0
	}
	return ttl
}
