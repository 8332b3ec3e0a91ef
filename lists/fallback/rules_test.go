package fallback

import (
	"net/netip"
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

const client = "192.0.2.25"

// Rule 2: only port 25. A service that the log does not tell may be submission.
func TestOnlyPort25(t *testing.T) {
	for service, want := range map[string]bool{
		maillog.ServiceSMTP: true, "mx": true, "": false, maillog.ServiceSubmission: false, maillog.ServiceSubmissions: false,
	} {
		w := newWorld(t, nil)
		w.learn(client, noCipher, onService(service))
		w.expect(w.suppress, client, want, "service "+service)
	}
}

// Rule 3: which failures are evidence.
func TestClassesOfEvidence(t *testing.T) {
	for class, want := range map[string]bool{
		noCipher: true, "alert-handshake-failure": true, "wrong-version-number": true, "lost-connection": false,
		"handshake-timeout": false, "alert-unknown-ca": false, "inappropriate-fallback": false, "alert-internal-error": false,
		"decryption-failed": false,
	} {
		w := newWorld(t, nil)
		w.learn(client, class)
		w.expect(w.suppress, client, want, class)
	}
}

// A client that goes on in the clear looks like garbage: it counts only if there is reason to believe that it sends mail.
func TestPlaintextClient(t *testing.T) {
	w := newWorld(t, nil)
	w.standing = StandingTrusted
	w.learn(client, "wrong-version-number", named(""))
	w.expect(w.suppress, client, false, "without a name")
	w.add(client, delivers(1), named(""))
	w.wait(time.Hour)
	w.learn(client, "wrong-version-number", named(""))
	w.expect(w.suppress, client, true, "delivered in the clear")
}

// Rule 3: how many failures, how far apart, over what time.
func TestSpacingOfEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		after []time.Duration
		want  bool
	}{
		"three over an hour":          {[]time.Duration{0, 30 * time.Minute, 30 * time.Minute}, true},
		"two":                         {[]time.Duration{0, 2 * time.Hour}, false},
		"within an hour":              {[]time.Duration{0, 20 * time.Minute, 20 * time.Minute}, false},
		"the third too near":          {[]time.Duration{0, time.Hour, 9 * time.Minute}, false},
		"the first older than a day":  {[]time.Duration{0, 12 * time.Hour, 12*time.Hour + time.Minute}, false},
		"a day":                       {[]time.Duration{0, 12 * time.Hour, 12 * time.Hour}, true},
		"many over an hour":           {[]time.Duration{0, 11 * time.Minute, 11 * time.Minute, 11 * time.Minute, 11 * time.Minute, 11 * time.Minute, 11 * time.Minute}, true},
		"minutes apart for two hours": {[]time.Duration{0, 50 * time.Minute, 5 * time.Minute, 4 * time.Minute}, false},
	} {
		w := newWorld(t, nil)
		for _, d := range c.after {
			w.wait(d)
			w.add(client, fails(noCipher))
		}
		w.expect(w.suppress, client, c.want, name)
	}
}

// The evidence of a client that fails every few minutes stays small, and shows over what time it was collected.
func TestEvidenceIsBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.standing = StandingUnknown
	for range 100 {
		w.add(client, fails(noCipher))
		w.wait(12 * time.Minute)
	}
	r, err := w.Client(w.tx, w.now, netip.MustParseAddr(client))
	if n := len(r.Evidence); err != nil || n != 3+extraProofs || r.Evidence[n-1].Time.Sub(r.Evidence[0].Time) < 10*time.Hour {
		t.Errorf("%d failures in the evidence, %v", n, r.Evidence)
	}
}

// Rule 3: a failure of another class begins anew, even one that is no evidence.
func TestOneClass(t *testing.T) {
	for _, other := range []string{noKeyShare, "lost-connection"} {
		w := newWorld(t, nil)
		for _, class := range []string{noCipher, noCipher, other, noCipher, noCipher} {
			w.add(client, fails(class))
			w.wait(31 * time.Minute)
		}
		w.expect(w.suppress, client, false, "two, another, two")
		w.add(client, fails(noCipher))
		w.expect(w.suppress, client, true, "three")
	}
}

// Rule 3: a scanner is left alone for a week. The reader of the log finds scanners; two classes within a minute are one, too.
func TestScanner(t *testing.T) {
	for name, scan := range map[string]func(w *world){
		"outcome": func(w *world) { w.add(client, fails(noCipher), isScanner) },
		"two classes": func(w *world) {
			w.add(client, fails(noCipher))
			w.wait(time.Minute)
			w.add(client, fails("lost-connection"))
		},
		"downgrade": func(w *world) {
			w.add(client, fails("inappropriate-fallback"))
			w.wait(2 * time.Hour)
		},
	} {
		w := newWorld(t, nil)
		scan(w)
		w.learn(client, noCipher)
		w.wait(7*24*time.Hour - 6*time.Hour)
		w.learn(client, noCipher)
		w.expect(w.suppress, client, false, name)
		if !w.refused(client, "left alone") {
			t.Errorf("%s: it is not said that the client is left alone", name)
		}
		w.wait(6 * time.Hour)
		w.add(client, fails(noCipher))
		w.expect(w.suppress, client, false, name+", and what was before counts")
		w.wait(31 * time.Minute)
		w.add(client, fails(noCipher))
		w.wait(31 * time.Minute)
		w.add(client, fails(noCipher))
		w.expect(w.suppress, client, true, name+", a week later")

		scan(w)
		w.expect(w.suppress, client, false, name+" with an entry")
	}
}

// Rule 6: there must be reason to believe in mail, and no list may speak against it.
func TestReasonToBelieve(t *testing.T) {
	for name, c := range map[string]struct {
		standing Standing
		name     string
		clear    bool
		want     bool
	}{
		"nothing":           {StandingNone, "", false, false},
		"name":              {StandingNone, "mail.printer.example", false, true},
		"no host name":      {StandingNone, "203.0.113.9", false, false},
		"clear":             {StandingNone, "", true, true},
		"trusted":           {StandingTrusted, "", false, true},
		"denied with name":  {StandingDenied, "mail.printer.example", true, false},
		"unknown with name": {StandingUnknown, "mail.printer.example", true, false},
	} {
		w := newWorld(t, nil)
		w.standing = c.standing
		if c.clear {
			w.add(client, named(c.name), delivers(1))
			w.wait(29 * 24 * time.Hour)
		}
		w.learn(client, noCipher, named(c.name))
		w.expect(w.suppress, client, c.want, name)
	}
	w := newWorld(t, nil)
	w.add(client, named(""), delivers(1))
	w.wait(31 * 24 * time.Hour)
	w.learn(client, noCipher, named(""))
	w.expect(w.suppress, client, false, "delivered in the clear too long ago")
}

// Rule 7: one address, and not any.
func TestOneAddress(t *testing.T) {
	for _, c := range []struct {
		addr, name string
		want       bool
	}{
		{"10.0.0.1", "mail.printer.example", false}, {"127.0.0.1", "mail.printer.example", false}, {"100.64.1.1", "mail.printer.example", false},
		{"fe80::1", "mail.printer.example", false}, {"fd00::1", "mail.printer.example", false}, {"::1", "mail.printer.example", false},
		{"224.0.0.1", "mail.printer.example", false}, {"2001:db8::1", "mail.printer.example", true}, {"::ffff:192.0.2.77", "mail.printer.example", true},
		{"192.0.2.1", "internet.nl", false}, {"192.0.2.1", "a.Internet.NL.", false}, {"192.0.2.1", "www.checktls.com", false},
		{"192.0.2.1", "x.hardenize.com", false}, {"192.0.2.1", "x.ssl-tools.net", false}, {"192.0.2.1", "x.havedane.net", false},
		{"192.0.2.1", "x.mxtoolbox.com", false}, {"192.0.2.1", "notinternet.nl", true},
	} {
		w := newWorld(t, nil)
		w.learn(c.addr, noCipher, named(c.name))
		addr := netip.MustParseAddr(c.addr).Unmap()
		w.expect(w.suppress, addr.String(), c.want, c.name)
		if next := addr.Next(); w.Table().Len() > 1 || isIn(w.suppress, next.String()) {
			t.Errorf("%s: %d entries; is %v in the list?", c.addr, w.Table().Len(), next)
		}
	}
}

// Rule 7: the operator's word counts, before and after.
func TestNever(t *testing.T) {
	w := newWorld(t, nil)
	w.never = netip.MustParseAddr(client)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, false, "never")
	w.never = netip.Addr{}
	w.wait(time.Hour)
	w.learn(client, noCipher)
	w.expect(w.suppress, client, true, "allowed")
	w.never = netip.MustParseAddr(client)
	w.wait(time.Second)
	if w.expect(w.suppress, client, false, "never again"); len(w.entries) != 0 {
		t.Error("the entry is still there")
	}
}
