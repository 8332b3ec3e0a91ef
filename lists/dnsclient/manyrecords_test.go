package dnsclient

import (
	"encoding/binary"
	"testing"

	"github.com/miekg/dns"
)

// A client does not choose how many records its reverse zone returns; more than are useful are not unpacked.
func TestManyRecords(t *testing.T) {
	for n, want := range map[int]bool{maxRecords: true, maxRecords + 1: false} {
		m := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("a.example.", dns.TypePTR))
		for range n {
			m.Answer = append(m.Answer, &dns.PTR{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: 1}, Ptr: "b.example."})
		}
		m.Compress = true
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := int(binary.BigEndian.Uint16(b[6:])); got != n {
			t.Fatalf("%d records", got)
		}
		if a, f := parseReply(b); (f == nil) != want || want && len(a.Records) != n {
			t.Errorf("%d records: %d were taken, %+v", n, len(a.Records), f)
		}
	}
}
