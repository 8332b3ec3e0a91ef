package earned

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

// A client that earned its place and turns bad loses it within the day, however much it delivered before, and has to earn it
// again. One that is good for a while and bad for a while is no better off.
func TestTurnBad(t *testing.T) {
	for _, daily := range []int{2, 300} {
		w := newWorld(t, Defaults(), Environment{})
		for range 30 {
			w.nextDay(1)
			w.deliver(good, daily)
		}
		w.want(good, true)
		w.nextDay(1)
		w.reject(good, 1)
		w.want(good, true)
		w.reject(good, daily)
		w.want(good, false)
		w.reject(good, 9*daily) // policy, milters and relay: the log of each mail server has all of them as rejected
		for range 4 {
			w.nextDay(1)
			w.deliver(good, daily)
			w.want(good, false)
		}
		for range 30 {
			w.nextDay(1)
			w.deliver(good, daily)
		}
		w.want(good, true)
	}
}

// A client that delivers in the second in which it is rejected hides nothing by that.
func TestSameSecond(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	for range 5 {
		w.deliver(good, 1)
		w.add(w.newSession(good, maillog.MailRejected))
	}
	w.want(good, false)
}

// A log that is read again, from any place or in any order, tells nothing new.
func TestReadTwice(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	var log []*maillog.Session
	for range 4 {
		w.nextDay(1)
		for range 2 {
			w.sleep(time.Minute)
			log = append(log, w.newSession(good, maillog.MailAccepted))
			w.add(log[len(log)-1])
		}
	}
	before := w.client(good)
	for range 5 {
		for _, s := range log {
			w.add(s)
		}
		for _, s := range slices.Backward(log) {
			w.add(s)
		}
		w.sleep(time.Minute)
	}
	if after := w.client(good); after.Sessions != before.Sessions || after.Days != before.Days || after.Earned {
		t.Errorf("got %+v, want %+v", after, before)
	}
	w.sleep(16 * time.Hour)
	w.deliver(good, 2)
	w.want(good, true) // by what it did itself
}

// A log whose lines come late and in any order never tells more than in order.
func TestOutOfOrder(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.nextDay(20)
	var log []*maillog.Session
	for i := range 20 {
		s := w.newSession(good, maillog.MailAccepted)
		s.End = s.End.Add(time.Duration(-i*7919%20) * day)
		log = append(log, s)
	}
	for _, s := range log {
		w.sleep(time.Minute)
		w.add(s)
	}
	if r := w.client(good); r.Earned || r.Days > 1 {
		t.Errorf("got %+v: a backlog that is read at once makes no days", r)
	}
}

// A log of last year that is replayed, as it is or with its years changed, makes nothing earned.
func TestReplayed(t *testing.T) {
	for name, shift := range map[string]time.Duration{"as it is": 0, "as of this month": 350 * day} {
		w := newWorld(t, Defaults(), Environment{})
		var log []*maillog.Session
		for range 300 {
			w.sleep(time.Hour)
			log = append(log, w.newSession(good, maillog.MailAccepted))
		}
		w.sleep(350 * day)
		for _, s := range log {
			s.End = s.End.Add(shift)
			w.sleep(time.Second)
			w.add(s)
		}
		if r := w.client(good); r.Earned || r.Days > 1 {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

// A clock that is set from day to day makes no days.
func TestClockMakesNoDays(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	for range 40 {
		w.now.Wall = w.now.Wall.Add(day)
		w.deliver(good, 2)
	}
	w.want(good, false)
}

// A clock that is set, for an hour, far ahead or back, costs no client its place that sends nothing in this hour; and one that
// does can go on as before.
func TestClockSet(t *testing.T) {
	const other = "203.0.113.9"
	for name, wrong := range map[string]time.Duration{"ahead": 400 * day, "back": -400 * day} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Defaults(), Environment{})
			for range 5 {
				w.nextDay(1)
				w.deliver(good, 2)
				w.deliver(other, 2)
			}
			for range 2 {
				w.now.Wall = w.now.Wall.Add(wrong)
				w.sweep()
				w.deliver(other, 1)
				w.sleep(time.Hour)
				w.sweep()
				w.now.Wall = w.now.Wall.Add(-wrong)
				w.sweep()
				w.want(good, true)
				w.nextDay(1)
				w.deliver(good, 1)
				w.want(good, true)
				w.earn(other)
			}
		})
	}
}

// Hosts choose their addresses in an IPv6 /64. What they do counts for it, and for no other.
func TestIPv6(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	for i := range 10 {
		if i%2 == 0 {
			w.nextDay(1)
		}
		w.deliver(fmt.Sprintf("2001:db8:7:8:%x::%x", i*977, i+1), 1)
	}
	w.want("2001:db8:7:8::99", true)
	w.want("2001:db8:7:9::1", false)
	if r := w.client("2001:db8:7:8:ffff::"); r.Client != "2001:db8:7:8::/64" || r.Sessions != 10 || w.report().Records != 1 {
		t.Errorf("got %+v", r)
	}
	for i := range 9 {
		w.reject(fmt.Sprintf("2001:db8:7:8:%x::", i*991), 1)
	}
	w.want("2001:db8:7:8::99", false)
}
