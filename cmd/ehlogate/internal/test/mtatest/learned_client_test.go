package mtatest_test

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// attempt is what became of one message.
type attempt struct {
	offered   bool   // STARTTLS, at first
	handshake string // the version, "fails", or "" without one
	clear     bool   // it was delivered without TLS
}

// handshake is how a client makes the TLS handshake.
type handshake func(c *mtatest.SMTP) (tls.ConnectionState, error)

// send sends a message as mail servers do: over TLS if that is offered, and over another connection in the clear if TLS
// fails. It must arrive.
func (s *learnedSite) send(client string, shake handshake) (a attempt) {
	s.Helper()
	for first := true; ; first = false {
		c := s.greet(client)
		r, err := c.EHLO("client.example")
		if err != nil || r.Code != 250 {
			s.Fatalf("%s: EHLO: %v, %v", client, r, err)
		}
		if first && r.Offers("STARTTLS") {
			a.offered = true
			if r, err := c.Command("STARTTLS"); err != nil || r.Code != 220 {
				s.Fatalf("%s: STARTTLS: %v, %v", client, r, err)
			}
			state, err := shake(c)
			if err != nil {
				a.handshake = "fails"
				c.Close()
				continue
			}
			a.handshake = tls.VersionName(state.Version)
			if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
				s.Fatalf("%s: EHLO over TLS: %v, %v", client, r, err)
			}
		}
		s.deliver(c, client)
		a.clear = a.handshake == "" || a.handshake == "fails"
		return a
	}
}

// greet connects a client, and reads the banner.
func (s *learnedSite) greet(client string) (c *mtatest.SMTP) {
	s.Helper()
	err := s.clients.Do(func() (err error) {
		c, err = mtatest.Dial(soon(s.T), learnedServer+":25", client)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	if r, err := c.Banner(); err != nil || r.Code != 220 {
		s.Fatalf("%s: banner: %v, %v", client, r, err)
	}
	return c
}

// deliver hands over a message and takes leave. The message must arrive.
func (s *learnedSite) deliver(c *mtatest.SMTP, client string) {
	s.Helper()
	mark := fmt.Sprintf("from %s at %d", client, time.Now().UnixNano())
	if r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: "+mark+"\n\nhello\n"); err != nil || r.Code != 250 {
		s.Fatalf("%s: a message: %v, %v", client, r, err)
	}
	if r, err := c.Quit(); err != nil || r.Code != 221 {
		s.Fatalf("%s: QUIT: %v, %v", client, r, err)
	}
	if _, err := s.mta.awaitMail(soon(s.T), regexp.MustCompile("(?m)^Subject: "+regexp.QuoteMeta(mark)+"$")); err != nil {
		s.Fatal(err)
	}
}

// visit has a client ask for TLS, and do it if it can, of a server whose TLS may not work.
func (s *learnedSite) visit(client string) {
	s.Helper()
	c := s.greet(client)
	defer c.Close()
	if r, err := c.EHLO("client.example"); err != nil || r.Code != 250 {
		s.Fatalf("%s: EHLO: %v, %v", client, r, err)
	}
	if _, state, err := c.STARTTLS(); err == nil && state.HandshakeComplete {
		s.Errorf("%s: TLS works with a broken certificate", client)
	}
}
