package dnsclient

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	header = 12 // bytes of a message before its question

	// udpSize is what a server may send by UDP: what no path has to fragment
	// (dnsflagday.net 2020, RFC 9715). The buffer is larger for servers that
	// do not care.
	udpSize   = 1232
	udpBuffer = 4096
)

// question is one in the form of the wire, with the id 0.
type question struct {
	edns, plain []byte // with EDNS, and without
	end         int    // of the question section
}

func newQuestion(name string, qtype uint16) (q question, err error) {
	if _, ok := dns.IsDomainName(name); !ok {
		return q, errors.New("not a domain name")
	}
	var m dns.Msg
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.Id = 0
	m.RecursionDesired = true
	// Asks for the AD bit without the signatures (RFC 6840 section 5.7).
	m.AuthenticatedData = true
	if q.plain, err = m.Pack(); err != nil {
		return q, err
	}
	q.end = len(q.plain)
	m.SetEdns0(udpSize, false)
	q.edns, err = m.Pack()
	return q, err
}

// replies says whether b is a reply to query, which is q with an id: whether
// id and question are the same. Whoever wants to be believed without having
// seen the query must guess the id and our port.
func (q question) replies(query, b []byte) bool {
	const (
		isReply = 0x80
		opcode  = 0x78
	)
	if len(b) < header || !bytes.Equal(b[:2], query[:2]) || b[2]&(isReply|opcode) != isReply {
		return false
	}
	if len(b) == header || binary.BigEndian.Uint16(b[4:]) == 0 {
		// Some refuse, or do not know EDNS, with nothing but a header.
		switch rcode(b) {
		case dns.RcodeFormatError, dns.RcodeServerFailure, dns.RcodeNotImplemented, dns.RcodeRefused:
			return true
		}
		return false
	}
	return binary.BigEndian.Uint16(b[4:]) == 1 && len(b) >= q.end &&
		// The length of a label is no letter; type and class could be.
		equalFold(b[header:q.end-4], query[header:q.end-4]) &&
		bytes.Equal(b[q.end-4:q.end], query[q.end-4:q.end])
}

// equalFold is about ASCII only, as DNS is (RFC 4343).
func equalFold(a, b []byte) bool {
	lower := func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// rcode is the response code of a message, without what EDNS adds.
func rcode(b []byte) int { return int(b[3] & 0xf) }

func truncated(b []byte) bool { return b[2]&0x02 != 0 }

// attempt asks one server, in all for no longer than timeout: by UDP, by TCP if
// the reply does not fit, and without EDNS if the server does not know it.
func attempt(ctx context.Context, server netip.AddrPort, timeout time.Duration, q question) (Answer, *failure) {
	deadline := time.Now().Add(timeout)
	a, f := exchange(ctx, server, deadline, q, q.edns)
	if f != nil && errors.Is(f.err, errEDNS) {
		return exchange(ctx, server, deadline, q, q.plain)
	}
	return a, f
}

func exchange(ctx context.Context, server netip.AddrPort, deadline time.Time, q question, form []byte) (Answer, *failure) {
	query := bytes.Clone(form)
	rand.Read(query[:2])
	reply, f := byUDP(ctx, server, deadline, q, query)
	if f != nil {
		return Answer{}, f
	}
	var cut *failure
	if !truncated(reply) {
		a, f := read(reply)
		// What cannot be read may have been cut without being marked so.
		if f == nil || !errors.Is(f.err, errCut) {
			return a, f
		}
		cut = f
	}
	if reply, f = byTCP(ctx, server, deadline, q, query); f != nil {
		return Answer{}, cmp.Or(cut, f)
	}
	return read(reply) // one that is truncated by TCP, too, is no answer
}

// byUDP waits for a reply to query, and lets pass what is none. The socket, and
// so the port, is new each time.
func byUDP(ctx context.Context, server netip.AddrPort, deadline time.Time, q question, query []byte) ([]byte, *failure) {
	var d net.Dialer
	conn, err := d.DialUDP(ctx, "udp", netip.AddrPort{}, server)
	if err != nil {
		return nil, broken(err)
	}
	defer conn.Close()
	defer bound(ctx, conn, deadline)()
	if _, err = conn.Write(query); err != nil {
		return nil, broken(err)
	}
	b := make([]byte, udpBuffer)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return nil, broken(err)
		}
		if q.replies(query, b[:n]) {
			return b[:n], nil
		}
	}
}

// byTCP asks on a connection of its own (RFC 7766). A reply has at most 65535
// bytes, as its length is sent in two.
func byTCP(ctx context.Context, server netip.AddrPort, deadline time.Time, q question, query []byte) ([]byte, *failure) {
	d := net.Dialer{Deadline: deadline}
	conn, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, server)
	if err != nil {
		return nil, broken(err)
	}
	defer conn.Close()
	defer bound(ctx, conn, deadline)()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, broken(err)
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, broken(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, broken(err)
	}
	if !q.replies(query, b) {
		return nil, &failure{Malformed, errors.New("a reply by TCP to another question")}
	}
	return b, nil
}

// bound ends what conn waits for at the deadline, or when ctx ends; not after
// the function that it returns was called.
func bound(ctx context.Context, conn net.Conn, deadline time.Time) func() {
	conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}
