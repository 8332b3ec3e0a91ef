package dnstest

import (
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Fault is what is wrong with a zone, or with a server. The zero value is
// nothing.
type Fault struct {
	Kind  Kind
	Delay time.Duration // before whatever is said, in addition
}

// Kind is a kind of fault.
type Kind uint8

const (
	// None: answers are right.
	None Kind = iota
	// Drop: nothing is said.
	Drop
	// ServFail: SERVFAIL, as of a zone that has expired.
	ServFail
	// Refused: REFUSED, as of a list that does not want to answer us.
	Refused
	// FormErr: FORMERR for what has EDNS; right answers else.
	FormErr
	// Truncate: by UDP only that the answer does not fit; by TCP it is right.
	Truncate
	// Wildcard: every name has an A record, 127.0.0.2.
	Wildcard
	// Parked: every name has an A record outside 127/8, 192.0.2.1, as those of
	// a domain that was sold.
	Parked
	// ErrorCode: every name has the A record 127.255.255.254, by which lists
	// say that they were asked wrongly.
	ErrorCode
	// WrongID: a forged 127.0.0.2 with another id, and then what is right.
	WrongID
	// WrongQuestion: a forged 127.0.0.2 for another name, and then what is
	// right.
	WrongQuestion
	// TruncateAll: the answer does not fit, by UDP and by TCP, and there is
	// nothing in it.
	TruncateAll
	// Cut: the answer ends in the middle, and is not marked as truncated.
	Cut
	// CutRecord: the answer ends in front of a record that it announces.
	CutRecord
	// LoneAlias: every name is an alias, and nothing is said about the name to
	// which it leads.
	LoneAlias
	// Tamper: records and proofs that are not what was signed.
	Tamper
)

// everywhere are the addresses of faults that give one to every name.
var everywhere = map[Kind]net.IP{
	Wildcard:  net.IPv4(127, 0, 0, 2),
	Parked:    net.IPv4(192, 0, 2, 1),
	ErrorCode: net.IPv4(127, 255, 255, 254),
}

// apply says to a question what the fault makes of the right answer.
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
		m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "elsewhere.test."}}
		right = m
	case Wildcard, Parked, ErrorCode:
		right = address(r, q, everywhere[f.Kind])
	case WrongID:
		m := address(r, q, everywhere[Wildcard])
		m.Id ^= 1
		w.WriteMsg(m)
	case WrongQuestion:
		q.Name = "forged." + q.Name
		m := address(r, q, everywhere[Wildcard])
		m.Question = []dns.Question{q}
		w.WriteMsg(m)
	case Tamper:
		right.Answer, right.Ns = tamper(right.Answer), tamper(right.Ns)
	}
	w.WriteMsg(right)
}

// address replies to r with an A record for what q asks, and with nothing if it
// asks for another type.
func address(r *dns.Msg, q dns.Question, ip net.IP) *dns.Msg {
	m := new(dns.Msg).SetReply(r)
	m.Authoritative, m.RecursionAvailable = true, true
	if q.Qtype == dns.TypeA {
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: ip}}
	}
	return m
}

// tamper gives the records with other content and the same signatures.
func tamper(rrs []dns.RR) (changed []dns.RR) {
	for _, rr := range rrs {
		switch rr := rr.(type) {
		case *dns.A:
			rr.A = everywhere[Parked]
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
