package tlspolicy

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists/dnsclient"
)

const (
	mx       = "example.org MX"
	mailTLSA = "_25._tcp.mail.example.org TLSA"
	root     = " NS"
)

// validating makes the resolver one that validates.
func (r *resolver) validating() {
	r.setAnswer(root, "a.root-servers.net.")
	r.secure(root)
}

func TestDANE(t *testing.T) {
	another := func(r *resolver, q string) {
		r.changeAnswer(q, func(a *dnsclient.Answer) { a.Server = netip.MustParseAddrPort("127.0.0.2:53") })
	}
	for name, tc := range map[string]struct {
		set     func(*resolver)
		remote  bool // resolvers are not on loopback
		want    State
		host    string
		verdict Commitment
		err     string
	}{
		"nothing": {func(r *resolver) {}, false, None, "", NoCommitment, ""},
		"no records": {func(r *resolver) { r.setAnswer(mx, "10 mail.example.org.") },
			false, None, "", NoCommitment, ""},
		"no records, by a remote resolver": {func(r *resolver) { r.setAnswer(mx, "10 mail.example.org.") },
			true, None, "", NoCommitment, ""},
		"secured": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.secure(mailTLSA)
		}, false, Secure, "mail.example.org", Confirmed, ""},
		"secured, though the MX are not": {func(r *resolver) {
			r.setAnswer(mx, "5 first.example.net.", "10 MAIL.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.secure(mailTLSA)
		}, false, Secure, "mail.example.org", Confirmed, ""},
		"the domain is the host": {func(r *resolver) {
			r.setAnswer("_25._tcp.example.org TLSA", tlsa)
			r.secure("_25._tcp.example.org TLSA")
		}, false, Secure, "example.org", Confirmed, ""},
		"the domain is not the host": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer("_25._tcp.example.org TLSA", tlsa)
			r.secure("_25._tcp.example.org TLSA")
		}, false, None, "", NoCommitment, ""},
		"null MX": {func(r *resolver) {
			r.setAnswer(mx, "0 .")
			r.setAnswer("_25._tcp.example.org TLSA", tlsa)
			r.secure("_25._tcp.example.org TLSA")
			r.setAnswer("_25._tcp TLSA", tlsa)
			r.secure("_25._tcp TLSA")
		}, false, None, "", NoCommitment, ""},
		"an alias": {func(r *resolver) {
			r.setAnswer(mx, "10 alias.example.org.")
			r.setAnswer("alias.example.org CNAME", "Mail.Example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.secure(mailTLSA)
		}, false, Secure, "mail.example.org", Confirmed, ""},
		"records of an alias": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer("mail.example.org CNAME", "other.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.secure(mailTLSA)
		}, false, Secure, "mail.example.org", Confirmed, ""},
		"a loop of aliases": {func(r *resolver) {
			r.setAnswer(mx, "10 a.example.org.")
			r.setAnswer("a.example.org CNAME", "b.example.org.")
			r.setAnswer("b.example.org CNAME", "a.example.org.")
		}, false, None, "", NoCommitment, ""},
		"too many aliases": {func(r *resolver) {
			r.setAnswer(mx, "10 a0.example.org.")
			for i := range maxAliases {
				r.setAnswer(fmt.Sprintf("a%d.example.org CNAME", i), fmt.Sprintf("a%d.example.org.", i+1))
			}
		}, false, Unknown, "", Assumed, "more than 8 aliases"},
		"too many hosts": {func(r *resolver) {
			var hosts []string
			for i := range maxHosts + 1 {
				hosts = append(hosts, fmt.Sprintf("10 a%d.example.org.", i))
			}
			r.setAnswer(mx, hosts...)
		}, false, Unknown, "", Assumed, "more than 50 MX hosts"},
		"a host with too long a name": {func(r *resolver) {
			label := strings.Repeat("a", 60)
			host := label + "." + label + "." + label + "." + label + ".example."
			r.setAnswer(mx, "10 "+host)
			r.failQueries("_25._tcp." + strings.TrimSuffix(host, ".") + " TLSA")
		}, false, None, "", NoCommitment, ""},
		"insecure": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.validating()
		}, false, None, "", NoCommitment, ""},
		"the resolver does not validate": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.setAnswer(root, "a.root-servers.net.")
		}, false, Indeterminate, "mail.example.org", Assumed, ""},
		"another resolver validates": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.validating()
			another(r, root)
		}, false, Indeterminate, "mail.example.org", Assumed, ""},
		"the AD bit of a remote resolver": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.secure(mailTLSA)
			r.validating()
		}, true, Indeterminate, "mail.example.org", Assumed, ""},
		"no AD bit of a remote resolver": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.validating()
		}, true, Indeterminate, "mail.example.org", Assumed, ""},
		"one indeterminate, one secure": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.", "20 b.example.net.")
			r.setAnswer(mailTLSA, tlsa)
			r.setAnswer("_25._tcp.b.example.net TLSA", tlsa)
			r.secure("_25._tcp.b.example.net TLSA")
		}, false, Secure, "b.example.net", Confirmed, ""},
		"one secure, one insecure": {func(r *resolver) {
			r.setAnswer(mx, "10 b.example.net.", "20 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.secure(mailTLSA)
			r.setAnswer("_25._tcp.b.example.net TLSA", tlsa)
			r.validating()
		}, false, Secure, "mail.example.org", Confirmed, ""},
		"one fails, one is secure": {func(r *resolver) {
			r.setAnswer(mx, "10 b.example.net.", "20 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.secure(mailTLSA)
			r.failQueries("_25._tcp.b.example.net TLSA")
		}, false, Secure, "mail.example.org", Confirmed, ""},
		"one fails, one has none": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.", "20 b.example.net.")
			r.failQueries(mailTLSA)
		}, false, Unknown, "", Assumed, "TLSA: servfail"},
		"the MX fail": {func(r *resolver) { r.failQueries(mx) }, false, Unknown, "", Assumed, "example.org MX: servfail"},
		"an alias fails": {func(r *resolver) { r.failQueries("example.org CNAME") },
			false, Unknown, "", Assumed, "CNAME: servfail"},
		"the root fails": {func(r *resolver) {
			r.setAnswer(mx, "10 mail.example.org.")
			r.setAnswer(mailTLSA, tlsa)
			r.failQueries(root)
		}, false, Unknown, "", Assumed, "cannot find out whether the resolver validates"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.set(w.dns)
			w.cfg.Local = !tc.remote
			w.start()
			d := w.domain()
			if d.DANE.State != tc.want || d.DANE.Host != tc.host || d.Commitment != tc.verdict || w.Active() != (tc.verdict != NoCommitment) || !strings.Contains(d.Error, tc.err) || tc.err == "" && d.Error != "" {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestDANESequences(t *testing.T) {
	there := func(ttl time.Duration, secured bool) func(*world) {
		return func(w *world) {
			w.dns.setAnswer(mx, "10 mail.example.org.")
			w.dns.setAnswer(mailTLSA, tlsa)
			w.dns.changeAnswer(mailTLSA, func(a *dnsclient.Answer) { a.TTL, a.Authentic = ttl, secured })
		}
	}
	gone := func(w *world) { w.dns.setAnswer(mailTLSA) }
	down := func(w *world) { w.dns.failQueries(mailTLSA) }
	type step struct {
		name    string
		after   time.Duration
		publish func(*world)
		restart bool
		idle    bool
		holds   bool
		state   State
		until   time.Duration
	}
	for name, steps := range map[string][]step{
		"none": {
			{name: "before the first check", idle: true, holds: true, state: Unknown},
			{name: "none", state: None},
			{name: "fails", after: day / 2, publish: func(w *world) { w.dns.failQueries(mx) }, state: None},
			{name: "restart", after: day / 2, restart: true, idle: true, state: None},
			{name: "restart long after", after: time.Second, restart: true, idle: true, holds: true, state: Unknown},
		},
		"there and gone": {
			{name: "there", publish: there(2*time.Hour, true), holds: true, state: Secure, until: 7 * day},
			{name: "gone, perhaps just now", after: time.Hour, publish: gone, holds: true, state: None, until: 7*day + time.Hour},
			{name: "restart", after: day, restart: true, idle: true, holds: true, state: None, until: 7*day + time.Hour},
			{name: "nearly over", after: 6*day - time.Second, idle: true, holds: true, state: None, until: 7*day + time.Hour},
			{name: "over", after: time.Second, idle: true, state: None},
		},
		// What is left of the TTL in this resolver shows nothing of others.
		"a short TTL": {
			{name: "there", publish: there(time.Minute, true), holds: true, state: Secure, until: 7 * day},
			{name: "at least until the next check", after: 8 * day, idle: true, holds: true, state: Secure, until: 7 * day},
			{name: "a failed one", publish: down, holds: true, state: Secure, until: 7 * day},
			{name: "restart", after: day, restart: true, idle: true, holds: true, state: Secure, until: 7 * day},
			{name: "gone, perhaps just now", publish: gone, holds: true, state: None, until: 16 * day},
			{name: "over", after: 7 * day, state: None},
		},
		"a long TTL": {
			{name: "there", publish: there(1000*day, true), holds: true, state: Secure, until: 7 * day},
			{name: "gone", publish: gone, holds: true, state: None, until: 7 * day},
			{name: "over", after: 7 * day, state: None},
		},
		"mail goes to another host": {
			{name: "there", publish: there(time.Minute, true), holds: true, state: Secure, until: 7 * day},
			{name: "resolvers have the first in their caches, and its records stand", after: day, publish: func(w *world) { w.dns.setAnswer(mx, "10 other.example.org.") },
				holds: true, state: None, until: 8 * day},
			{name: "over", after: 7 * day, state: None},
		},
		"DNSSEC goes": {
			{name: "there", publish: there(time.Hour, true), holds: true, state: Secure, until: 7 * day},
			{name: "insecure", after: day, publish: func(w *world) { there(time.Hour, false)(w); w.dns.validating() }, holds: true, state: None, until: 8 * day},
			{name: "over", after: 7 * day, state: None},
		},
		"the clock is set back": {
			{name: "there", publish: there(day, true), holds: true, state: Secure, until: 7 * day},
			{name: "by a month", after: -30 * day, restart: true, idle: true, holds: true, state: Secure, until: -23 * day},
			{name: "gone", publish: gone, holds: true, state: None, until: -23 * day},
			{name: "over", after: 7 * day, state: None},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.cfg.State = filepath.Join(t.TempDir(), "state.json")
			w.publish("", "")
			w.start()
			w.Check(t.Context()) // of the rest nothing is to be assumed
			for _, d := range w.domains {
				d.dane.record = record{State: Unknown}
			}
			w.updateActive(base, false)
			for _, s := range steps {
				w.clock.advance(s.after)
				if s.publish != nil {
					s.publish(w)
				}
				if s.restart {
					w.file.writeState(w.saved())
					w.start()
				}
				if !s.idle {
					w.Check(t.Context())
				}
				until := time.Time{}
				if s.until != 0 {
					until = base.Add(s.until)
				}
				if d := w.Report().Domains[0]; (d.Commitment != NoCommitment) != s.holds || d.DANE.State != s.state || !d.DANE.Until.Equal(until) {
					t.Fatalf("%s: %s, %s until %v; want %v, %s until %v\n%+v", s.name, d.Commitment, d.DANE.State, d.DANE.Until, s.holds, s.state, until, d)
				}
			}
		})
	}
}
