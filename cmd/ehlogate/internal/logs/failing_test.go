package logs

import (
	"net/netip"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

// Failures are shown by class, the most frequent clients first, and not more of them than asked for.
func TestFailing(t *testing.T) {
	s := &Service{tally: newTally(time.Now())}
	a, b := maillog.FailureClasses()[3], maillog.FailureClasses()[4]
	fail := func(class maillog.Class, outcome maillog.Outcome, times ...int) {
		for host, n := range times {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(host)})
			for i := range n {
				s.tally.addSession(&maillog.Session{Addr: addr, Name: "mx.test", Service: maillog.ServiceSMTP, TLS: maillog.TLSFailed, Class: class, Outcome: outcome,
					End: time.Unix(int64(1000*host+i+1), 0)})
			}
		}
	}
	fail(a, maillog.OutcomeIncapable, 2, 5, 1, 4, 3)
	fail(b, maillog.OutcomeTransient, 9)
	s.tally.addSession(&maillog.Session{Addr: netip.MustParseAddr("192.0.2.1"), Service: maillog.ServiceSMTP, TLS: maillog.TLSOK, End: time.Now()})
	got := s.Failing(3)
	if len(got) != 2 || got[0].Class != a || got[0].Clients != 5 || got[0].Count != 15 || got[0].Outcome != maillog.OutcomeIncapable || got[0].Last.Unix() != 4003 ||
		got[1].Class != b || got[1].Clients != 1 || got[1].Count != 9 {
		t.Fatalf("got %+v", got)
	}
	top := got[0].Top
	if len(top) != 3 || top[0].Count != 5 || top[1].Count != 4 || top[2].Count != 3 || !top[0].Worked || top[1].Worked || top[1].Addr.String() != "192.0.2.3" || top[0].Name != "mx.test" {
		t.Errorf("got %+v", top)
	}
}
