package resolve

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestNextServer: what one server does not say the next one may, and none is
// asked twice that has said something.
func TestNextServer(t *testing.T) {
	for name, h := range map[string]dns.HandlerFunc{
		"SERVFAIL": fails(dns.RcodeServerFailure),
		"REFUSED":  fails(dns.RcodeRefused),
		"NOTAUTH":  fails(dns.RcodeNotAuth),
		"header only": func(w dns.ResponseWriter, r *dns.Msg) {
			send(w, r, func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeRefused })
		},
		"referral": func(w dns.ResponseWriter, r *dns.Msg) {
			send(w, r, func(m *dns.Msg) { m.Ns = []dns.RR{rr(". 300 IN NS a.root.test.")} })
		},
		"loop": func(w dns.ResponseWriter, r *dns.Msg) {
			send(w, r, func(m *dns.Msg) {
				m.Answer = []dns.RR{rr("a.test. 1 IN CNAME b.test."), rr("b.test. 1 IN CNAME a.test.")}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var first, second atomic.Int32
			a, err := client(long, 3, serve(t, counted(&first, h)), serve(t, counted(&second, lists))).Ask(context.Background(), "a.test", dns.TypeA)
			isHeld(t, a, err)
			if first.Load() != 1 || second.Load() != 1 {
				t.Errorf("asked %d and %d times", first.Load(), second.Load())
			}
		})
	}
}

func TestMostTelling(t *testing.T) {
	serv, ref, no, mute := serve(t, fails(dns.RcodeServerFailure)), serve(t, fails(dns.RcodeRefused)), closed(t), serve(t, silent)
	for _, test := range []struct {
		servers []netip.AddrPort
		want    Kind
		by      netip.AddrPort
	}{
		{[]netip.AddrPort{serv}, ServFail, serv},
		{[]netip.AddrPort{serv, no}, ServFail, serv},
		{[]netip.AddrPort{no, serv, mute}, ServFail, serv},
		{[]netip.AddrPort{mute, ref, no}, Refused, ref},
		{[]netip.AddrPort{ref, serv}, ServFail, serv},
		{[]netip.AddrPort{no, mute}, Timeout, mute},
	} {
		var e *Error
		_, err := client(short, 4, test.servers...).Ask(context.Background(), "a.test", dns.TypeA)
		if !errors.As(err, &e) || e.Kind != test.want || e.Server != test.by {
			t.Errorf("%v: %v", test.servers, err)
		}
	}
}

// TestAside: a server that did not answer is asked last, for some seconds.
func TestAside(t *testing.T) {
	for name, dead := range map[string]netip.AddrPort{"silent": serve(t, silent), "closed": closed(t)} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			alive := serve(t, counted(&n, lists))
			c := client(short, 2, dead, alive)
			now := time.Now()
			c.now = func() time.Time { return now }
			ask := func(want int) {
				t.Helper()
				if got := c.order()[0]; got != want {
					t.Fatalf("server %d is first", got)
				}
				a, err := c.Ask(context.Background(), "a.test", dns.TypeA)
				isHeld(t, a, err)
			}
			ask(0)
			ask(1)
			now = now.Add(aside - 1)
			ask(1)
			now = now.Add(1)
			ask(0)
			ask(1)
			if n.Load() != 5 {
				t.Errorf("the other server was asked %d times", n.Load())
			}
		})
	}
	t.Run("all", func(t *testing.T) {
		c := client(short, 3, closed(t), closed(t), closed(t))
		now := time.Now()
		c.now = func() time.Time { now = now.Add(1); return now }
		c.Ask(context.Background(), "a.test", dns.TypeA)
		if got := c.order(); got[0] != 0 || got[1] != 1 || got[2] != 2 {
			t.Errorf("order %v, want the one first that failed longest ago", got)
		}
	})
	t.Run("heard again", func(t *testing.T) {
		c := client(long, 2, serve(t, lists), serve(t, fails(dns.RcodeServerFailure)))
		now := time.Now()
		c.failed[0], c.failed[1] = now, now.Add(-1)
		a, err := c.Ask(context.Background(), "a.test", dns.TypeA)
		isHeld(t, a, err)
		if !c.failed[0].IsZero() || !c.failed[1].IsZero() {
			t.Errorf("both answered, and yet: %v", c.failed)
		}
	})
	t.Run("little time", func(t *testing.T) {
		c := client(long, 2, serve(t, silent), serve(t, lists))
		ctx, cancel := context.WithTimeout(context.Background(), short)
		defer cancel()
		if _, err := c.Ask(ctx, "a.test", dns.TypeA); KindOf(err) != Timeout {
			t.Fatal(err)
		}
		a, err := c.Ask(context.Background(), "a.test", dns.TypeA)
		isHeld(t, a, err)
	})
}
