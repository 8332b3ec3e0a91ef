package dnstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestFaults(t *testing.T) {
	const short = 50 * time.Millisecond
	bl := NewZone(t, "bl.test", "7.2.0.192 A 127.0.0.4\n7.2.0.192 TXT why")
	s := StartServer(t, bl, NewZone(t, "other.test", "x A 192.0.2.7"))
	const listed, free = "7.2.0.192.bl.test", "8.2.0.192.bl.test"
	for name, test := range map[string]struct {
		f                 Fault
		listed, free, txt string
		byTCP             int
	}{
		"none":           {Fault{}, "127.0.0.4", "none", `"why"`, 0},
		"drop":           {Fault{Kind: Drop}, "timeout", "timeout", "timeout", 0},
		"late":           {Fault{Delay: time.Hour}, "timeout", "timeout", "timeout", 0},
		"delay":          {Fault{Delay: time.Millisecond}, "127.0.0.4", "none", `"why"`, 0},
		"SERVFAIL":       {Fault{Kind: ServFail}, "servfail", "servfail", "servfail", 0},
		"REFUSED":        {Fault{Kind: Refused}, "refused", "refused", "refused", 0},
		"FORMERR":        {Fault{Kind: FormErr}, "127.0.0.4", "none", `"why"`, 0},
		"truncate":       {Fault{Kind: Truncate}, "127.0.0.4", "none", `"why"`, 3},
		"truncate all":   {Fault{Kind: TruncateAll}, "malformed", "malformed", "malformed", 3},
		"cut":            {Fault{Kind: Cut}, "malformed", "malformed", "malformed", 3},
		"cut, a record":  {Fault{Kind: CutRecord}, "malformed", "malformed", "malformed", 3},
		"lone alias":     {Fault{Kind: LoneAlias}, "malformed", "malformed", "malformed", 0},
		"wildcard":       {Fault{Kind: Wildcard}, "127.0.0.2", "127.0.0.2", "none", 0},
		"parked":         {Fault{Kind: Parked}, "192.0.2.1", "192.0.2.1", "none", 0},
		"error code":     {Fault{Kind: ErrorCode}, "127.255.255.254", "127.255.255.254", "none", 0},
		"wrong id":       {Fault{Kind: WrongID}, "127.0.0.4", "none", `"why"`, 0},
		"wrong question": {Fault{Kind: WrongQuestion}, "127.0.0.4", "none", `"why"`, 0},
		"tamper":         {Fault{Kind: Tamper}, "192.0.2.1", "none", `"why" "forged"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s.Forget()
			s.Fail("bl.test", test.f)
			timeout := waitTimeout
			if test.listed == "timeout" {
				timeout = short
			}
			for i, got := range []string{queryText(t, s.Addr, timeout, listed, a), queryText(t, s.Addr, timeout, free, a), queryText(t, s.Addr, timeout, listed, txt)} {
				if want := []string{test.listed, test.free, test.txt}[i]; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			check(t, s.Addr, line{"x.other.test", a, "192.0.2.7"}, line{"elsewhere.test", a, "refused"})
			if _, byTCP := s.Total(); byTCP != test.byTCP {
				t.Errorf("%d questions by TCP", byTCP)
			}
			s.Heal()
			check(t, s.Addr, line{listed, a, "127.0.0.4"})
		})
	}
}

// TestForged: forged replies come, and a client that does not compare would take them.
func TestForged(t *testing.T) {
	s := StartServer(t, NewZone(t, "bl.test", ""))
	r := new(dns.Msg).SetQuestion("x.bl.test.", dns.TypeA)
	for kind, lie := range map[Kind]func(*dns.Msg) bool{
		WrongID:       func(m *dns.Msg) bool { return m.Id != r.Id && m.Question[0] == r.Question[0] },
		WrongQuestion: func(m *dns.Msg) bool { return m.Id == r.Id && m.Question[0] != r.Question[0] },
	} {
		s.Fail(".", Fault{Kind: kind})
		c, err := dns.Dial("udp", s.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(waitTimeout))
		if err := c.WriteMsg(r); err != nil {
			t.Fatal(err)
		}
		if m, err := c.ReadMsg(); err != nil || !lie(m) || len(m.Answer) != 1 {
			t.Errorf("first %v, %v", m, err)
		}
		if m, err := c.ReadMsg(); err != nil || m.Id != r.Id || m.Question[0] != r.Question[0] || m.Rcode != dns.RcodeNameError {
			t.Errorf("then %v, %v", m, err)
		}
	}
}

func TestSmallestDomain(t *testing.T) {
	s := StartServer(t, NewZone(t, "test", "*.bl A 127.0.0.4\nx A 192.0.2.7\n"), NewZone(t, "sub.test", "x A 192.0.2.8"))
	s.Fail(".", Fault{Kind: Refused})
	s.Fail("BL.test.", Fault{Kind: ServFail})
	s.Fail("y.bl.test", Fault{})
	check(t, s.Addr,
		line{"x.test", a, "refused"}, line{"x.sub.test", a, "refused"},
		line{"x.bl.test", a, "servfail"}, line{"y.bl.test", a, "127.0.0.4"}, line{"z.y.bl.test", a, "127.0.0.4"})
	s.Heal()
	check(t, s.Addr, line{"x.test", a, "192.0.2.7"}, line{"x.sub.test", a, "192.0.2.8"}, line{"y.sub.test", a, "none"}, line{"x.bl.test", a, "127.0.0.4"})
}

// TestCount is also about many at once, while zone and faults change.
func TestCount(t *testing.T) {
	z := NewZone(t, "bl.test", "")
	s := StartServer(t, z)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				got := queryText(t, s.Addr, waitTimeout, fmt.Sprintf("N%d.bl.test", i), []uint16{a, txt}[j%2])
				if got != "none" && got != "servfail" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	for i := range 20 {
		z.Set(t, fmt.Sprintf("other%d A 127.0.0.2", i))
		s.Fail("bl.test", Fault{Kind: []Kind{None, ServFail}[i%2]})
	}
	all.Wait()
	total, byTCP := s.Total()
	if total != 160 || byTCP != 0 || s.QueryCount("n3.BL.test") != 20 || s.QueryCount("n3.bl.test.", a) != 10 || s.QueryCount("n3.bl.test", a, txt) != 20 || s.QueryCount("n9.bl.test") != 0 {
		t.Errorf("%d questions, %d by TCP; %v", total, byTCP, s.Names())
	}
	if names := s.Names(); len(names) != 8 || !slices.IsSorted(names) || names[0] != "n0.bl.test." {
		t.Errorf("names %q", names)
	}
	s.Forget()
	if total, _ := s.Total(); total != 0 || s.QueryCount("n3.bl.test") != 0 || s.Names() != nil {
		t.Error("it does not forget")
	}
}

// TestGone: a name with nothing left does not exist.
func TestGone(t *testing.T) {
	z := NewZone(t, "example.test", "x A 192.0.2.1\nx TXT x\ny A 192.0.2.1\ny TXT y")
	s := StartServer(t, z)
	z.Remove(t, "x", a)
	z.Remove(t, "y.example.test.", a, txt)
	for name, want := range map[string]int{"x.example.test.": dns.RcodeSuccess, "y.example.test.": dns.RcodeNameError} {
		m, err := dns.Exchange(new(dns.Msg).SetQuestion(name, a), s.Addr.String())
		if err != nil || m.Rcode != want || len(m.Answer) != 0 || len(m.Ns) != 1 {
			t.Errorf("%v, %v", m, err)
		}
	}
}

// TestSetAuthentic: the AD bit is set only in replies to clients that request it.
func TestSetAuthentic(t *testing.T) {
	z := NewZone(t, "example.test", "@ MX 10 mail\nbig TXT "+strings.Repeat(`"`+strings.Repeat("x", 250)+`" `, 8))
	s := StartServer(t, z)
	for on, ad := range map[bool]string{true: " AD", false: ""} {
		z.SetAuthentic(on)
		check(t, s.Addr, line{"example.test", dns.TypeMX, "10 mail.example.test." + ad})
	}
	z.SetAuthentic(true)
	m, err := dns.Exchange(new(dns.Msg).SetQuestion("example.test.", dns.TypeMX), s.Addr.String())
	if err != nil || m.AuthenticatedData {
		t.Errorf("%v, %v", m, err)
	}
	// Does not fit, without any fault.
	if got := queryText(t, s.Addr, waitTimeout, "big.example.test", txt); len(got) < 2000 {
		t.Errorf("got %q", got)
	}
	if _, byTCP := s.Total(); byTCP != 1 {
		t.Errorf("%d questions by TCP", byTCP)
	}
}
