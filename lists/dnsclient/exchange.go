package dnsclient

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	headerSize = 12 // bytes of a message before its question

	// udpSize is what a server may send by UDP: what no path has to fragment (dnsflagday.net 2020, RFC 9715).
	udpSize = 1232
)

// bufferSize is larger than udpSize, for servers that ignore that.
var bufferSize = map[string]int{"udp": 4096, "tcp": dns.MaxMsgSize}

// query is a message in the form of the wire, with the id 0.
type query struct {
	edns, plain []byte // with EDNS, and without
	end         int    // of the question section
}

func newQuery(name string, qtype uint16) (q query, err error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return q, errors.New("invalid domain name")
	}
	var m dns.Msg
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.Id = 0
	m.RecursionDesired = true
	m.AuthenticatedData = true // requests the AD bit without the signatures (RFC 6840 section 5.7)
	if q.plain, err = m.Pack(); err != nil {
		return q, err
	}
	q.end = len(q.plain)
	m.SetEdns0(udpSize, false)
	q.edns, err = m.Pack()
	return q, err
}

// isReply reports whether b is a reply to sent, which is q with an id: whether id and question are the same. An
// attacker that has not seen the query must guess the id and the port.
func (q query) isReply(sent, b []byte) bool {
	const (
		responseBit = 0x80
		opcode      = 0x78
	)
	if len(b) < headerSize || !bytes.Equal(b[:2], sent[:2]) || b[2]&(responseBit|opcode) != responseBit {
		return false
	}
	if len(b) == headerSize || binary.BigEndian.Uint16(b[4:]) == 0 {
		// Some servers refuse, or do not know EDNS, with nothing but a header.
		switch responseCode(b) {
		case dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
			return true
		}
		return false
	}
	return binary.BigEndian.Uint16(b[4:]) == 1 && len(b) >= q.end &&
		// The length of a label is no letter; type and class could be.
		bytes.EqualFold(b[headerSize:q.end-4], sent[headerSize:q.end-4]) &&
		bytes.Equal(b[q.end-4:q.end], sent[q.end-4:q.end])
}

// responseCode returns the code of a message, without what EDNS adds.
func responseCode(b []byte) int { return int(b[3] & 0xf) }

func isTruncated(b []byte) bool { return b[2]&0x02 != 0 }

// queryServer queries one server, in all for no longer than timeout: by UDP, by TCP if the reply does not fit, and
// without EDNS if the server does not know it.
func queryServer(ctx context.Context, server netip.AddrPort, timeout time.Duration, q query) (Answer, *Error) {
	deadline := time.Now().Add(timeout)
	a, failed := exchange(ctx, server, deadline, q, q.edns)
	if failed != nil && errors.Is(failed.Err, errEDNS) {
		return exchange(ctx, server, deadline, q, q.plain)
	}
	return a, failed
}

func exchange(ctx context.Context, server netip.AddrPort, deadline time.Time, q query, message []byte) (Answer, *Error) {
	sent := bytes.Clone(message)
	rand.Read(sent[:2])
	reply, failed := exchangeOn(ctx, "udp", server, deadline, q, sent)
	if failed != nil {
		return Answer{}, failed
	}
	var invalid *Error
	if !isTruncated(reply) {
		a, failed := parseReply(reply)
		// An invalid reply may be one that was truncated without the TC bit.
		if failed == nil || !errors.Is(failed.Err, errInvalid) {
			return a, failed
		}
		invalid = failed
	}
	if reply, failed = exchangeOn(ctx, "tcp", server, deadline, q, sent); failed != nil {
		return Answer{}, cmp.Or(invalid, failed)
	}
	return parseReply(reply)
}

// exchangeOn sends a query by "udp" or "tcp" (RFC 7766), and waits for a reply. The socket, and so the port, is new
// each time. By UDP it ignores messages that are no reply.
func exchangeOn(ctx context.Context, network string, server netip.AddrPort, deadline time.Time, q query, sent []byte) ([]byte, *Error) {
	d := net.Dialer{Deadline: deadline}
	conn, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, socketError(err)
	}
	defer conn.Close()
	conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	framed := dns.Conn{Conn: conn} // by TCP, with the length before each message
	if _, err := framed.Write(sent); err != nil {
		return nil, socketError(err)
	}
	b := make([]byte, bufferSize[network])
	for {
		n, err := framed.Read(b)
		switch {
		case err != nil:
			return nil, socketError(err)
		case q.isReply(sent, b[:n]):
			return b[:n], nil
		case network == "tcp":
			return nil, &Error{Kind: Malformed, Err: errors.New("the reply by TCP has another id or question")}
		}
	}
}

// socketError returns what the error of a socket means.
func socketError(err error) *Error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &Error{Kind: Timeout}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // Error names the server already
	}
	return &Error{Kind: Unreachable, Err: err}
}
