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
// queried twice that has replied.
func TestNextServer(t *testing.T) {
	for name, h := range map[string]dns.HandlerFunc{
		"SERVFAIL": fails(dns.RcodeServerFailure),
		"REFUSED":  fails(dns.RcodeRefused),
		"NOTAUTH":  fails(dns.RcodeNotAuth),
		"header only": func(w dns.ResponseWriter, r *dns.Msg) {
			sendReply(w, r, func(m *dns.Msg) { m.Question, m.Rcode = nil, dns.RcodeRefused })
		},
		"referral": func(w dns.ResponseWriter, r *dns.Msg) {
			sendReply(w, r, func(m *dns.Msg) { m.Ns = []dns.RR{parseRR(". 300 IN NS a.root.test.")} })
		},
		"loop": func(w dns.ResponseWriter, r *dns.Msg) {
			sendReply(w, r, func(m *dns.Msg) {
				m.Answer = []dns.RR{parseRR("a.test. 1 IN CNAME b.test."), parseRR("b.test. 1 IN CNAME a.test.")}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var first, second atomic.Int32
			a, err := client(long, 3, serve(t, counted(&first, h)), serve(t, counted(&second, lists))).Query(context.Background(), "a.test", dns.TypeA)
			isHeld(t, a, err)
			if first.Load() != 1 || second.Load() != 1 {
				t.Errorf("queried %d and %d times", first.Load(), second.Load())
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

// TestRetryTime: a server that did not answer is tried last, for some seconds.
func TestRetryTime(t *testing.T) {
	for name, dead := range map[string]netip.AddrPort{"silent": serve(t, silent), "closed": closed(t)} {
		t.Run(name, func(t *testing.T) {
			c := client(short, 1, dead, serve(t, lists))
			now := time.Now()
			c.now = func() time.Time { return now }
			query := func(first int) { // the only one that is queried
				t.Helper()
				a, err := c.Query(context.Background(), "a.test", dns.TypeA)
				if first == 1 {
					isHeld(t, a, err)
				} else if err == nil {
					t.Fatalf("%s answered", a.Server)
				}
			}
			query(0)
			query(1)
			now = now.Add(retryTime - 1)
			query(1)
			now = now.Add(1)
			query(0)
			query(1)
		})
	}
	t.Run("all", func(t *testing.T) {
		c := client(short, 3, closed(t), closed(t), closed(t))
		now := time.Now()
		c.now = func() time.Time { now = now.Add(1); return now }
		c.Query(context.Background(), "a.test", dns.TypeA)
		if got := c.serverOrder(); got[0] != 0 || got[1] != 1 || got[2] != 2 {
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
// down; once it has answered all query it again.
func TestOneTries(t *testing.T) {
	var up atomic.Bool
	var first atomic.Int32
	received := make(chan struct{}, 100)
	c := client(long, 1, serve(t, counted(&first, func(w dns.ResponseWriter, r *dns.Msg) {
		received <- struct{}{}
		if up.Load() {
			lists(w, r)
		}
	})), serve(t, lists))
	now := time.Now()
	c.now = func() time.Time { return now }
	c.failed[0] = now
	now = now.Add(retryTime)

	// try sends a query that waits for the first server in vain, until it is cancelled.
	try := func() (giveUp func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			_, err := c.Query(ctx, "a.test", dns.TypeA)
			done <- err
		}()
		<-received
		return func() {
			t.Helper()
			if cancel(); KindOf(<-done) != Timeout {
				t.Error("it was answered")
			}
		}
	}
	// many sends queries at a time, which a server is to answer.
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
	many(1) // a cancelled query has shown nothing
	now = now.Add(retryTime)
	giveUp = try()
	many(1)
	giveUp()
	if n := first.Load(); n != 2 {
		t.Errorf("the first server got %d queries", n)
	}
	up.Store(true)
	now = now.Add(retryTime)
	a, err := c.Query(context.Background(), "a.test", dns.TypeA)
	isHeld(t, a, err)
	many(0)
}
