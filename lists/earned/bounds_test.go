package earned

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

// However many clients there are, the store has no more records than it may. Those that are earned remain, and of the others
// those with most days.
func TestMaxClients(t *testing.T) {
	o := Defaults()
	o.MaxClients, o.Keep = 4*shardCount, 40*day
	w := newWorld(t, o, Environment{})
	w.earn(good)
	w.nextDay(31)
	w.deliver(good, 1)
	const candidate = "203.0.113.9"
	for range 3 {
		w.nextDay(1)
		w.deliver(candidate, 3)
	}
	for i := range 20 * o.MaxClients {
		w.sleep(time.Second)
		addr := netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}).String()
		w.add(w.newSession(addr, maillog.Mail(1+i%2)))
	}
	r := w.report()
	if r.Records > o.MaxClients || r.Records < o.MaxClients/2 || r.MaxRecords != o.MaxClients {
		t.Errorf("got %+v", r)
	}
	w.want(good, true)
	if c := w.client(candidate); c.Days != 3 {
		t.Errorf("got %+v", c)
	}
	for i := range 40 {
		if c := w.client(fmt.Sprintf("11.0.0.%d", i)); !c.Last.IsZero() {
			t.Errorf("one of the oldest records remains: %+v", c)
		}
	}
	w.learner.options.MaxClients = shardCount // the operator lowers it
	for i := range 40 * shardCount {
		w.sleep(time.Second)
		w.add(w.newSession(netip.AddrFrom4([4]byte{12, byte(i >> 16), byte(i >> 8), byte(i)}).String(), maillog.MailAccepted))
	}
	if got := w.report().Records; got > shardCount {
		t.Errorf("got %d records", got)
	}
}

// Records of clients that are gone are deleted.
func TestSpent(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.sleep(100 * day)
	w.earn(good)
	w.deliver("203.0.113.9", 1)
	w.reject("203.0.113.10", 1)
	w.now.Wall = w.now.Wall.Add(400 * day)
	w.sweep()
	if got := w.report().Records; got != 3 {
		t.Errorf("a clock that is set leaves %d records, want 3", got)
	}
	w.sleep(31 * day)
	w.sweep()
	if got := w.report(); got.Records != 0 || got.Clients != 0 {
		t.Errorf("got %+v", got)
	}
}

// Of a client with more sessions than can be counted, the share of rejects still counts.
func TestManySessions(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	s := w.newSession(good, maillog.MailAccepted)
	for i := range 300_000 {
		s.End, s.Mail = s.End.Add(time.Second), maillog.MailAccepted
		if i%20 == 19 {
			s.Mail = maillog.MailRejected
		}
		w.now.Wall, w.now.Followed = s.End, w.now.Followed+time.Second
		w.add(s)
	}
	w.want(good, true)
	if r := w.client(good); r.Rejected*20 > (r.Sessions+r.Rejected)*11/10 || r.Rejected*20 < (r.Sessions+r.Rejected)*9/10 {
		t.Errorf("got %+v", r)
	}
	w.reject(good, 8_000)
	w.want(good, false)
}
