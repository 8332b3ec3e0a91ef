package dnsclient

import (
	"context"
	"errors"
	"net/netip"
	"sync"
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
			a, err := client(long, 3, serve(t, counted(&first, h)), serve(t, counted(&second, lists))).Query(context.Background(), "a.test", dns.TypeA)
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
		_, err := client(short, 4, test.servers...).Query(context.Background(), "a.test", dns.TypeA)
		if !errors.As(err, &e) || e.Kind != test.want || e.Server != test.by {
			t.Errorf("%v: %v", test.servers, err)
		}
	}
}

// TestAside: a server that did not answer is asked last, for some seconds.
func TestAside(t *testing.T) {
	for name, dead := range map[string]netip.AddrPort{"silent": serve(t, silent), "closed": closed(t)} {
		t.Run(name, func(t *testing.T) {
			c := client(short, 1, dead, serve(t, lists))
			now := time.Now()
			c.now = func() time.Time { return now }
			ask := func(first int) { // the only one that is asked
				t.Helper()
				a, err := c.Query(context.Background(), "a.test", dns.TypeA)
				if first == 1 {
					isHeld(t, a, err)
				} else if err == nil {
					t.Fatalf("%s answered", a.Server)
				}
			}
			ask(0)
			ask(1)
			now = now.Add(aside - 1)
			ask(1)
			now = now.Add(1)
			ask(0)
			ask(1)
		})
	}
	t.Run("all", func(t *testing.T) {
		c := client(short, 3, closed(t), closed(t), closed(t))
		now := time.Now()
		c.now = func() time.Time { now = now.Add(1); return now }
		c.Query(context.Background(), "a.test", dns.TypeA)
		if got := c.order(); got[0] != 0 || got[1] != 1 || got[2] != 2 {
			t.Errorf("order %v, want the one first that failed longest ago", got)
		}
	})
	t.Run("heard again", func(t *testing.T) {
		c := client(long, 2, serve(t, lists), serve(t, fails(dns.RcodeServerFailure)))
		now := time.Now()
		c.failed[0], c.failed[1] = now, now.Add(-1)
		a, err := c.Query(context.Background(), "a.test", dns.TypeA)
		isHeld(t, a, err)
		if !c.failed[0].IsZero() || !c.failed[1].IsZero() {
			t.Errorf("both answered, and yet: %v", c.failed)
		}
	})
	t.Run("little time", func(t *testing.T) {
		c := client(long, 2, serve(t, silent), serve(t, lists))
		ctx, cancel := context.WithTimeout(context.Background(), short)
		defer cancel()
		if _, err := c.Query(ctx, "a.test", dns.TypeA); KindOf(err) != Timeout {
			t.Fatal(err)
		}
		a, err := c.Query(context.Background(), "a.test", dns.TypeA)
		isHeld(t, a, err)
	})
}

// TestOneTries: of many questions at a time one waits for a server that was
// down; once it has answered all ask it again.
func TestOneTries(t *testing.T) {
	var up atomic.Bool
	var first atomic.Int32
	asked := make(chan struct{}, 100)
	c := client(long, 1, serve(t, counted(&first, func(w dns.ResponseWriter, r *dns.Msg) {
		asked <- struct{}{}
		if up.Load() {
			lists(w, r)
		}
	})), serve(t, lists))
	now := time.Now()
	c.now = func() time.Time { return now }
	c.failed[0] = now
	now = now.Add(aside)

	// try asks what waits for the first server in vain, until it is given up.
	try := func() (giveUp func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			_, err := c.Query(ctx, "a.test", dns.TypeA)
			done <- err
		}()
		<-asked
		return func() {
			t.Helper()
			if cancel(); KindOf(<-done) != Timeout {
				t.Error("it was answered")
			}
		}
	}
	// many ask at a time, and are to be answered by a server.
	many := func(by int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), long/4)
		defer cancel()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if a, err := c.Query(ctx, "a.test", dns.TypeA); err != nil || a.Server != c.servers[by] {
					t.Errorf("%s: %v", a.Server, err)
				}
			})
		}
		wg.Wait()
	}
	giveUp := try()
	many(1)
	giveUp()
	many(1) // who gave up has shown nothing
	now = now.Add(aside)
	giveUp = try()
	many(1)
	giveUp()
	if n := first.Load(); n != 2 {
		t.Errorf("the first server was asked %d times", n)
	}
	up.Store(true)
	now = now.Add(aside)
	a, err := c.Query(context.Background(), "a.test", dns.TypeA)
	isHeld(t, a, err)
	many(0)
}
