package dnstest

import (
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Fault is what is wrong with a zone, or with a server. The zero value is no fault.
type Fault struct {
	Kind  Kind
	Delay time.Duration // of every reply, in addition
}

// Kind is a kind of fault.
type Kind uint8

const (
	// None: answers are right.
	None Kind = iota
	// Drop: there is no reply.
	Drop
	// ServFail: SERVFAIL, as of a zone that has expired.
	ServFail
	// Refused: REFUSED, as of a list that does not serve this client.
	Refused
	// FormErr: FORMERR for queries with EDNS; the others get right answers.
	FormErr
	// Truncate: the TC bit alone by UDP, right answers by TCP.
	Truncate
	// Wildcard: every name has an A record, 127.0.0.2.
	Wildcard
	// Parked: every name has an A record outside 127/8, 192.0.2.1, as in a domain that was sold.
	Parked
	// ErrorCode: every name has the A record 127.255.255.254, which lists return for queries that they do not accept.
	ErrorCode
	// WrongID: a forged 127.0.0.2 with another id, and then the right answer.
	WrongID
	// WrongQuestion: a forged 127.0.0.2 for another name, and then the right answer.
	WrongQuestion
	// TruncateAll: the TC bit and no records, by UDP and by TCP.
	TruncateAll
	// Cut: the answer ends in the middle, and is not marked as truncated.
	Cut
	// CutRecord: the answer ends in front of a record that it announces.
	CutRecord
	// LoneAlias: every name is an alias, and there are no records of its target.
	LoneAlias
	// Tamper: records and proofs other than those that were signed.
	Tamper
)

// wildcardAddr has the faults that give every name an address.
var wildcardAddr = map[Kind]net.IP{
	Wildcard:  net.IPv4(127, 0, 0, 2),
	Parked:    net.IPv4(192, 0, 2, 1),
	ErrorCode: net.IPv4(127, 255, 255, 254),
}

// apply replies to r with what the fault makes of the right answer.
func (f Fault) apply(w dns.ResponseWriter, r, right *dns.Msg) {
	q := r.Question[0]
	switch f.Kind {
	case Drop:
		return
	case ServFail, Refused:
		m := new(dns.Msg).SetRcode(r, map[Kind]int{ServFail: dns.RcodeServerFailure, Refused: dns.RcodeRefused}[f.Kind])
		m.RecursionAvailable = true
		w.WriteMsg(m)
		return
	case FormErr:
		if r.IsEdns0() != nil {
			w.WriteMsg(new(dns.Msg).SetRcodeFormatError(r))
			return
		}
	case Truncate:
		if !isTCP(w) {
			m := new(dns.Msg).SetReply(r)
			m.Truncated = true
			w.WriteMsg(m)
			return
		}
	case TruncateAll:
		m := new(dns.Msg).SetReply(r)
		m.Truncated, m.RecursionAvailable = true, true
		right = m
	case Cut, CutRecord:
		b, err := right.Pack()
		if err != nil {
			panic(err)
		}
		question, err := new(dns.Msg).SetQuestion(q.Name, q.Qtype).Pack()
		if err != nil {
			panic(err)
		}
		end := len(question)
		if f.Kind == Cut {
			end += min(5, (len(b)-end)/2)
		}
		w.Write(b[:end])
		return
	case LoneAlias:
		m := new(dns.Msg).SetReply(r)
		m.RecursionAvailable = true
		m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "elsewhere." + strings.TrimPrefix(q.Name, ".")}}
		right = m
	case Wildcard, Parked, ErrorCode:
		right = addressReply(r, q, wildcardAddr[f.Kind])
	case WrongID:
		m := addressReply(r, q, wildcardAddr[Wildcard])
		m.Id ^= 1
		w.WriteMsg(m)
	case WrongQuestion:
		q.Name = "forged." + q.Name
		m := addressReply(r, q, wildcardAddr[Wildcard])
		m.Question = []dns.Question{q}
		w.WriteMsg(m)
	case Tamper:
		right.Answer, right.Ns = tamperWith(right.Answer), tamperWith(right.Ns)
	}
	w.WriteMsg(right)
}

// addressReply returns a reply to r with an A record of the name in q, and without records if q has another type.
func addressReply(r *dns.Msg, q dns.Question, ip net.IP) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.Authoritative, m.RecursionAvailable = true, true
	if q.Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: ip}}
	}
	return m
}

// tamperWith returns the records with other content and the same signatures.
func tamperWith(rrs []dns.RR) (changed []dns.RR) {
	for _, rr := range rrs {
		switch rr := rr.(type) {
		case *dns.A:
			rr.A = wildcardAddr[Parked]
		case *dns.AAAA:
			rr.AAAA = net.ParseIP("2001:db8::bad")
		case *dns.TXT:
			rr.Txt = append(rr.Txt, "forged")
		case *dns.MX:
			rr.Mx = "forged.invalid."
		case *dns.PTR:
			rr.Ptr = "forged.invalid."
		case *dns.CNAME:
			rr.Target = "forged.invalid."
		case *dns.TLSA:
			rr.Certificate = strings.Repeat("0", len(rr.Certificate))
		case *dns.NSEC:
			rr.TypeBitMap = []uint16{dns.TypeNSEC}
		}
		changed = append(changed, rr)
	}
	return changed
}
