package dnsclient

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// message is a reply about a.test A with these records, those of the authority
// section behind "--".
func message(code int, records ...string) *dns.Msg {
	m := new(dns.Msg).SetQuestion("a.test.", dns.TypeA)
	m.Response, m.Rcode = true, code
	section := &m.Answer
	for _, s := range records {
		if s == "--" {
			section = &m.Ns
			continue
		}
		*section = append(*section, parseRR(s))
	}
	return m
}

const soa = " IN SOA ns.test. root.test. 1 2 3 4 "

func TestAnswer(t *testing.T) {
	const no, yes = dns.RcodeNameError, dns.RcodeSuccess
	for name, test := range map[string]struct {
		m    *dns.Msg
		want string // addresses
		ttl  time.Duration
	}{
		"one":                {message(yes, held), "127.0.0.2", 300},
		"two":                {message(yes, held, "a.test. 20 IN A 127.0.0.9"), "127.0.0.2 127.0.0.9", 20},
		"others beside":      {message(yes, "b.test. 1 IN A 127.0.0.3", held, "a.test. 1 IN TXT x", "a.test. 1 CH A 127.0.0.4"), "127.0.0.2", 300},
		"TTL out of range":   {message(yes, "a.test. 2147483648 IN A 127.0.0.2"), "127.0.0.2", 0},
		"largest TTL":        {message(yes, "a.test. 2147483647 IN A 127.0.0.2"), "127.0.0.2", 1<<31 - 1},
		"alias":              {message(yes, "a.test. 50 IN CNAME b.test.", "b.test. 60 IN A 127.0.0.2"), "127.0.0.2", 50},
		"alias, longer":      {message(yes, "a.test. 500 IN CNAME b.test.", "b.test. 60 IN A 127.0.0.2"), "127.0.0.2", 60},
		"chain in disorder":  {message(yes, "c.test. 70 IN A 127.0.0.2", "b.test. 40 IN CNAME c.test.", "a.test. 50 IN CNAME b.test."), "127.0.0.2", 40},
		"lone alias, SOA":    {message(yes, "a.test. 50 IN CNAME b.test.", "--", "test. 100"+soa+"90"), "", 50},
		"alias, no such":     {message(no, "a.test. 500 IN CNAME b.other.", "--", "other. 100"+soa+"90"), "", 90},
		"SOA of another":     {message(no, "a.test. 500 IN CNAME b.other.", "--", "test. 100"+soa+"90"), "", 0},
		"no such, SOA TTL":   {message(no, "--", "test. 30"+soa+"90"), "", 30},
		"no such, SOA least": {message(no, "--", "TEST. 300"+soa+"90"), "", 90},
		"no such, no SOA":    {message(no), "", 0},
		"no such, NS":        {message(no, "--", "test. 1 IN NS ns.test."), "", 0},
		"none, SOA":          {message(yes, "a.test. 1 IN TXT x", "--", "test. 300"+soa+"90"), "", 90},
		"none, NS and SOA":   {message(yes, "--", "test. 1 IN NS ns.test.", "test. 300"+soa+"90"), "", 90},
		"none, no SOA":       {message(yes), "", 0},
		"16 aliases":         {message(yes, chain(16)...), "127.0.0.2", 5},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := test.m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			a, f := parseReply(b)
			if f != nil {
				t.Fatal(*f)
			}
			var got []string
			for _, rr := range a.Records {
				got = append(got, rr.(*dns.A).A.String())
			}
			if s := strings.Join(got, " "); s != test.want || a.TTL != test.ttl*time.Second {
				t.Errorf("got %q for %s, want %q for %ds", s, a.TTL, test.want, test.ttl)
			}
		})
	}
}

// chain is n aliases and the address at their end.
func chain(n int) (records []string) {
	name := "a.test."
	for i := range n {
		next := "n" + strconv.Itoa(i) + ".test."
		records = append(records, name+" 5 IN CNAME "+next)
		name = next
	}
	return append(records, name+" 300 IN A 127.0.0.2")
}

func TestNoAnswer(t *testing.T) {
	authoritative := message(dns.RcodeSuccess, "--", "test. 1 IN NS ns.test.")
	authoritative.Authoritative = true
	for name, test := range map[string]struct {
		m    *dns.Msg
		want Kind
	}{
		"both":               {message(dns.RcodeNameError, held), Malformed},
		"referral":           {message(dns.RcodeSuccess, "--", "test. 1 IN NS ns.test."), Refused},
		"referral, SOA away": {message(dns.RcodeSuccess, "--", "other. 1"+soa+"1", "test. 1 IN NS ns.test."), Refused},
		"loop":               {message(dns.RcodeSuccess, "a.test. 1 IN CNAME a.test."), Malformed},
		"long loop":          {message(dns.RcodeSuccess, "a.test. 1 IN CNAME b.test.", "b.test. 1 IN CNAME c.test.", "c.test. 1 IN CNAME b.test."), Malformed},
		"17 aliases":         {message(dns.RcodeSuccess, chain(17)...), Malformed},
		"lone alias":         {message(dns.RcodeSuccess, "a.test. 50 IN CNAME b.test."), Malformed},
		"not the end of it":  {message(dns.RcodeSuccess, "a.test. 50 IN CNAME b.test.", "c.test. 60 IN A 127.0.0.2"), Malformed},
		"lone alias, SOA":    {message(dns.RcodeSuccess, "a.test. 50 IN CNAME b.other.", "--", "test. 100"+soa+"90"), Malformed},
		"about another name": {message(dns.RcodeSuccess, "b.test. 50 IN A 127.0.0.2"), Malformed},
		"of another type":    {message(dns.RcodeSuccess, "a.test. 50 IN TXT x"), Malformed},
		"SERVFAIL":           {message(dns.RcodeServerFailure, held), ServFail},
		"REFUSED":            {message(dns.RcodeRefused), Refused},
		"NOTIMP":             {message(dns.RcodeNotImplemented), Refused},
		"FORMERR":            {message(dns.RcodeFormatError), Malformed},
		"YXDOMAIN":           {message(dns.RcodeYXDomain), Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := test.m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			if a, f := parseReply(b); f == nil || f.Kind != test.want {
				t.Errorf("got %+v, %v", a, f)
			}
		})
	}
	b, _ := authoritative.Pack()
	if a, f := parseReply(b); f != nil || a.Records != nil {
		t.Errorf("an authoritative server does not refer to others: %+v, %v", a, f)
	}
}

// TestCNAME: an alias that is the type of the query is not followed.
func TestCNAME(t *testing.T) {
	m := message(dns.RcodeSuccess, "a.test. 50 IN CNAME b.test.", "b.test. 40 IN CNAME c.test.")
	m.Question[0].Qtype = dns.TypeCNAME
	b, _ := m.Pack()
	a, f := parseReply(b)
	if f != nil || len(a.Records) != 1 || a.Records[0].(*dns.CNAME).Target != "b.test." || a.TTL != 50*time.Second {
		t.Errorf("got %+v, %v", a, f)
	}
}

func TestAuthentic(t *testing.T) {
	for _, m := range []*dns.Msg{message(dns.RcodeSuccess, held), message(dns.RcodeNameError), message(dns.RcodeSuccess)} {
		for _, ad := range []bool{false, true} {
			m.AuthenticatedData = ad
			b, _ := m.Pack()
			if a, f := parseReply(b); f != nil || a.Authentic != ad {
				t.Errorf("AD %t: %+v, %v", ad, a, f)
			}
		}
	}
}

// FuzzReply: whatever comes, there is an answer that is about the question, or a
// failure.
func FuzzReply(f *testing.F) {
	edns := message(dns.RcodeSuccess)
	edns.SetEdns0(1232, false)
	badVersion := message(dns.RcodeBadVers)
	badVersion.SetEdns0(1232, false)
	for _, m := range []*dns.Msg{
		edns, badVersion, message(dns.RcodeSuccess, held, "--", "test. 30"+soa+"90"), message(dns.RcodeSuccess, "a.test. 50 IN CNAME b.test."),
		message(dns.RcodeSuccess, held), message(dns.RcodeSuccess, chain(3)...), message(dns.RcodeNameError, "--", "test. 30"+soa+"90"),
		message(dns.RcodeServerFailure), message(dns.RcodeSuccess, "--", "test. 1 IN NS ns.test."),
		message(dns.RcodeSuccess, "a.test. 1 IN CNAME a.test."), new(dns.Msg).SetEdns0(512, true),
	} {
		for _, compress := range []bool{false, true} {
			m.Compress = compress
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			for n := range len(b) + 1 {
				f.Add(b[:n])
			}
		}
	}
	q, err := newQuery("a.test", dns.TypeA)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := slices.Clone(b)
		a, failed := parseReply(b)
		if !slices.Equal(kept, b) {
			t.Fatal("the reply was changed")
		}
		if len(b) >= headerSize {
			q.isReply(slices.Concat(b[:2], q.edns[2:]), b)
		}
		if failed != nil {
			if errors.Is(failed.Err, errInvalid) && failed.Kind != Malformed {
				t.Fatalf("cut, and yet %s", failed.Kind)
			}
			return
		}
		if a.TTL < 0 || a.TTL > maxTTL*time.Second {
			t.Fatalf("TTL %s", a.TTL)
		}
		var m dns.Msg
		if err := m.Unpack(b); err != nil {
			t.Fatalf("an answer from %q, which cannot be read: %v", b, err)
		}
		// What is not whole proves nothing, neither that there are records nor
		// that there are none.
		for n := range b {
			if a, failed := parseReply(b[:n:n]); failed == nil {
				t.Fatalf("%+v from %d bytes of %q", a, n, b)
			}
		}
		changed := slices.Clone(b)
		changed[2] |= 0x02 // TC
		if a, failed := parseReply(changed); failed == nil {
			t.Fatalf("%+v from %q, which is truncated", a, changed)
		}
		for at := 4; at < headerSize; at += 2 { // the number of questions, and of records in each section
			for _, by := range []uint16{1, 0xffff} {
				changed := slices.Clone(b)
				binary.BigEndian.PutUint16(changed[at:], binary.BigEndian.Uint16(b[at:])+by)
				if a, failed := parseReply(changed); failed == nil {
					t.Fatalf("%+v from %q, which has another number of records at %d", a, changed, at)
				}
			}
		}
		if a, failed := parseReply(append(slices.Clip(b), 0)); failed == nil {
			t.Fatalf("%+v from %q and a byte", a, b)
		}
		for _, rr := range a.Records {
			if h := rr.Header(); h.Rrtype != m.Question[0].Qtype || h.Class != dns.ClassINET || a.TTL > time.Duration(h.Ttl)*time.Second {
				t.Fatalf("%v for %s", rr, a.TTL)
			}
		}
	})
}
