package fallback

import (
	"testing"
	"time"

	"ehlogate/lists/maillog"
)

// Rule 4: success makes immune for 400 days, whatever followed the handshake, and on any service.
func TestImmunity(t *testing.T) {
	for name, change := range map[string][]func(*maillog.Session){
		"TLS 1.3":              {succeeds("TLSv1.3"), delivers(1)},
		"TLS 1.0":              {succeeds("TLSv1")},
		"said nothing":         {succeeds("TLSv1.2"), saidNothing},
		"rejected certificate": {succeeds("TLSv1.3"), rejectedCertificateLater},
		"submission":           {succeeds("TLSv1.3"), onService(maillog.ServiceSubmission)},
		"unknown service":      {succeeds("TLSv1.3"), onService("")},
	} {
		for _, failedBefore := range []bool{false, true} {
			w := newWorld(t, nil)
			if failedBefore {
				w.add(client, fails(noCipher))
				w.wait(time.Hour)
			}
			w.add(client, append(change, named(""))...)
			w.wait(399 * 24 * time.Hour)
			w.learn(client, noCipher)
			w.expect(w.suppress, client, false, name)
			if !w.refused(client, "immune") {
				t.Errorf("%s: it is not said that the client is immune", name)
			}
			w.wait(26 * time.Hour)
			w.learn(client, noCipher)
			w.expect(w.suppress, client, true, name+", 400 days later")
		}
	}
}

// Rule 4: the neighbors of a client that completed TLS are immune for 30 days.
func TestNeighbors(t *testing.T) {
	for name, c := range map[string]struct {
		addr, name, learned string
		want                bool // learned in spite of it
	}{
		"/24":            {"192.0.2.200", "", client, false},
		"another /24":    {"192.0.3.25", "", client, true},
		"/64":            {"2001:db8:1:2::1", "", "2001:db8:1:2::2", false},
		"/48":            {"2001:db8:1:2::1", "", "2001:db8:1:3::2", false},
		"another /48":    {"2001:db8:1:2::1", "", "2001:db8:2:2::1", true},
		"domain":         {"203.0.113.1", "a.b.printer.example", client, false},
		"another domain": {"203.0.113.1", "mail.copier.example", client, true},
		"suffix alone":   {"203.0.113.1", "other.co.uk", client, true},
	} {
		w := newWorld(t, nil)
		printer := named("mail.printer.example")
		if name == "suffix alone" {
			printer = named("printer.co.uk")
		}
		w.add(c.addr, succeeds("TLSv1.3"), named(c.name))
		w.wait(29 * 24 * time.Hour)
		w.learn(c.learned, noCipher, printer)
		w.expect(w.suppress, c.learned, c.want, name)
		if c.want {
			continue
		}
		w.wait(26 * time.Hour)
		w.learn(c.learned, noCipher, printer)
		w.expect(w.suppress, c.learned, c.learned != "2001:db8:1:2::2", name+", a month later")
		w.add(c.addr, succeeds("TLSv1.3"), named(c.name))
		w.expect(w.suppress, c.learned, false, name+" ends an entry")
	}
}
