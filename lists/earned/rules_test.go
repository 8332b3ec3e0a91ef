package earned

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/maillog"
)

const good = "198.51.100.7"

// Each number of the rules decides: a client that meets it is earned, and one that falls short by one is not.
func TestNumbers(t *testing.T) {
	type days []struct{ after, accepted, rejected int } // after: so many days after the one before
	for name, test := range map[string]struct {
		days days
		want bool
	}{
		"5 days, 10 sessions":           {days{{1, 2, 0}, {1, 2, 0}, {1, 2, 0}, {1, 2, 0}, {1, 2, 0}}, true},
		"4 days":                        {days{{1, 9, 0}, {1, 9, 0}, {1, 9, 0}, {1, 9, 0}}, false},
		"9 sessions":                    {days{{1, 2, 0}, {1, 2, 0}, {1, 2, 0}, {1, 2, 0}, {1, 1, 0}}, false},
		"5 days of 30":                  {days{{1, 2, 0}, {1, 2, 0}, {1, 2, 0}, {26, 2, 0}, {1, 2, 0}}, true},
		"5 days of 31":                  {days{{1, 9, 0}, {1, 9, 0}, {1, 9, 0}, {27, 9, 0}, {1, 9, 0}}, false},
		"10 sessions of 31 days":        {days{{1, 5, 0}, {26, 1, 0}, {1, 1, 0}, {1, 1, 0}, {1, 1, 0}, {1, 1, 0}}, false},
		"a tenth is rejected":           {days{{1, 4, 2}, {8, 4, 0}, {1, 4, 0}, {1, 4, 0}, {1, 2, 0}}, true},
		"more than a tenth is rejected": {days{{1, 4, 2}, {8, 4, 0}, {1, 4, 0}, {1, 4, 0}, {1, 1, 0}}, false},
		"of it, 31 days ago":            {days{{1, 4, 2}, {26, 3, 0}, {1, 4, 0}, {1, 4, 0}, {1, 4, 0}, {1, 2, 0}}, true},
		"lately two were rejected":      {days{{1, 99, 0}, {1, 9, 0}, {1, 9, 0}, {1, 9, 0}, {6, 1, 2}}, false},
		"lately one was":                {days{{1, 99, 0}, {1, 9, 0}, {1, 9, 0}, {1, 9, 0}, {6, 1, 1}}, true},
		"all is rejected":               {days{{1, 0, 9}, {1, 0, 9}, {1, 0, 9}, {1, 0, 9}, {1, 0, 9}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Defaults(), Environment{})
			for _, d := range test.days {
				w.nextDay(d.after)
				w.reject(good, d.rejected)
				w.deliver(good, d.accepted)
			}
			w.want(good, test.want)
			if r := w.client(good); r.Earned != test.want || (len(r.NotEarned) == 0) != test.want {
				t.Errorf("got %+v", r)
			}
			if len(w.events) > 0 != test.want {
				t.Errorf("got events %v", w.events)
			}
		})
	}
}

// The numbers are those of the options.
func TestOptions(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"days":        func(o *Options) { o.Days = 6 },
		"of":          func(o *Options) { o.Of = 4 },
		"sessions":    func(o *Options) { o.Sessions = 11 },
		"max_rejects": func(o *Options) { o.MaxRejects = 0.02 },
	} {
		o := Defaults()
		change(&o)
		for _, o := range []Options{o, Defaults()} {
			w := newWorld(t, o, Environment{})
			w.reject(good, 1)
			w.nextDay(5)
			for range 5 {
				w.nextDay(1)
				w.deliver(good, 2)
			}
			if want := o == Defaults(); w.learner.Table().Count() == 1 != want {
				t.Errorf("%s: earned: %v, want %v", name, !want, want)
			}
		}
	}
}

// A client without accepted mail is earned for 30 days, by whichever clock is first.
func TestKeep(t *testing.T) {
	for name, pass := range map[string]func(w *world, d time.Duration){
		"both":     (*world).sleep,
		"wall":     func(w *world, d time.Duration) { w.now.Wall = w.now.Wall.Add(d) },
		"followed": func(w *world, d time.Duration) { w.now.Followed += d },
	} {
		for _, keep := range []time.Duration{10 * day, Defaults().Keep} {
			for _, look := range []func(w *world){(*world).sweep, func(w *world) { w.learner.Reload(); w.report() }} {
				o := Defaults()
				o.Keep = keep
				w := newWorld(t, o, Environment{})
				w.earn(good)
				pass(w, keep-2*time.Hour)
				w.reject(good, 1)
				look(w)
				w.want(good, true)
				pass(w, day)
				look(w)
				w.want(good, false)
				if w.learner.options.Keep != 30*day {
					continue
				}
				if w.deliver(good, 1); name != "followed" { // by the log, mail stopped for a moment
					w.want(good, false)
				}
			}
		}
	}
}

// A client that is earned no more for want of mail is told of.
func TestLeft(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	w.sleep(31 * day)
	w.sweep()
	if last := w.events[len(w.events)-1]; len(w.events) != 2 || last.Kind != EventLeft || last.Client.Addr().String() != good {
		t.Errorf("got %v", w.events)
	}
}

// One delivery in thirty days is enough to remain, though not to be earned.
func TestRemain(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	for range 5 {
		w.nextDay(28)
		w.sweep()
		w.deliver(good, 1)
	}
	w.want(good, true)
	w.learner.Reload()
	w.sweep()
	w.want(good, true)
}

// What tells nothing of a client is not read.
func TestNotRead(t *testing.T) {
	for name, change := range map[string]func(*maillog.Session){
		"submission":       func(s *maillog.Session) { s.Service = maillog.ServiceSubmission },
		"submissions":      func(s *maillog.Session) { s.Service = maillog.ServiceSubmissions },
		"unknown port":     func(s *maillog.Session) { s.Service = "" },
		"authenticated":    func(s *maillog.Session) { s.LoggedIn = true },
		"no mail":          func(s *maillog.Session) { s.Mail = maillog.MailNone },
		"no time":          func(s *maillog.Session) { s.Time, s.End = time.Time{}, time.Time{} },
		"the future":       func(s *maillog.Session) { s.End = s.End.Add(6 * time.Minute) },
		"the last year":    func(s *maillog.Session) { s.Time, s.End = s.Time.AddDate(-1, 0, 0), s.End.AddDate(-1, 0, 0) },
		"no address":       func(s *maillog.Session) { s.Addr = netip.Addr{} },
		"loopback":         func(s *maillog.Session) { s.Addr = netip.MustParseAddr("127.0.0.1") },
		"private":          func(s *maillog.Session) { s.Addr = netip.MustParseAddr("172.17.0.1") },
		"carrier-NAT":      func(s *maillog.Session) { s.Addr = netip.MustParseAddr("100.64.0.1") },
		"ULA":              func(s *maillog.Session) { s.Addr = netip.MustParseAddr("fd00::1") },
		"link-local":       func(s *maillog.Session) { s.Addr = netip.MustParseAddr("fe80::1") },
		"unspecified":      func(s *maillog.Session) { s.Addr = netip.IPv6Unspecified() },
		"unspecified IPv4": func(s *maillog.Session) { s.Addr = netip.IPv4Unspecified() },
		"NAT64":            func(s *maillog.Session) { s.Addr = netip.MustParseAddr("64:ff9b::c633:6407") },
		"local NAT64":      func(s *maillog.Session) { s.Addr = netip.MustParseAddr("64:ff9b:1::c633:6407") },
		"Teredo":           func(s *maillog.Session) { s.Addr = netip.MustParseAddr("2001:0:53aa:64c::1") },
	} {
		w := newWorld(t, Defaults(), Environment{})
		for range 30 {
			w.sleep(6*time.Hour + time.Minute)
			s := w.newSession(good, maillog.MailAccepted)
			change(s)
			w.add(s)
		}
		if r := w.report(); r.Clients != 0 || r.Records != 0 {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

// A service with a name of its own is port 25, and a handshake that fails is no bad sign.
func TestRead(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	for range 5 {
		w.nextDay(1)
		for range 2 {
			w.sleep(time.Minute)
			s := w.newSession(good, maillog.MailAccepted)
			s.Service, s.TLS, s.Outcome = "mx", maillog.TLSFailed, maillog.OutcomeIncapable
			w.add(s)
		}
		for range 9 {
			w.sleep(time.Minute)
			s := w.newSession(good, maillog.MailNone)
			s.TLS, s.Outcome = maillog.TLSFailed, maillog.OutcomeIncapable
			w.add(s)
		}
	}
	w.want(good, true)
}

// A client that another list denies, or that may not be learned, does not become or remain earned.
func TestOtherLists(t *testing.T) {
	var is bool
	about := func(c lists.Client) bool { return is && c.Addr.String() == good && c.Name == "mail.example.org" }
	for name, e := range map[string]Environment{"denied": {Denied: about}, "never": {Never: about}} {
		is = true
		w := newWorld(t, Defaults(), e)
		for range 9 {
			w.nextDay(1)
			w.deliver(good, 9)
		}
		w.want(good, false)
		is = false
		w.earn(good)
		is = true
		w.deliver(good, 1)
		w.want(good, false)
		if last := w.events[len(w.events)-1]; last.Kind != EventLeft || !strings.Contains(last.String(), good+" (mail.example.org): ") {
			t.Errorf("%s: got %v", name, last)
		}
		if name == "never" && w.report().Records != 0 {
			t.Error("a record of a client of which nothing may be learned")
		}
	}
}

// What is forgotten is as if it had never been.
func TestForget(t *testing.T) {
	w := newWorld(t, Defaults(), Environment{})
	w.earn(good)
	if err := w.learner.Forget(w.store, w.now, netip.MustParseAddr(good)); err != nil {
		t.Fatal(err)
	}
	w.want(good, false)
	if r := w.report(); r.Records != 0 || r.Clients != 0 {
		t.Errorf("got %+v", r)
	}
	w.deliver(good, 1)
	w.want(good, false)
	w.earn(good)
}
