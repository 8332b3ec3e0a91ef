package delegation

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"ehlogate/lists"
	"ehlogate/policyd"
)

// conn is one connection. Each smtpd process of Postfix has its own connection, on which it sends requests about one SMTP
// session after the other (SMTPD_POLICY_README). So a session ends where the next one begins, however soon the port of
// its client is used again.
type conn struct {
	*Server
	current session
	begun   bool
	place   uint32 // in recent, while it is there

	mu         sync.Mutex
	remembered session // current, if an outcome of it was reported: for another connection that goes on with it
}

// Connection returns the protocol for one connection.
func (s *Server) Connection() policyd.Protocol { return &conn{Server: s} }

func (c *conn) Answer(ctx context.Context, in, out []byte) (int, []byte, error) {
	r, n, err := parseRequest(in)
	if n == 0 || err != nil {
		// Postfix asks policy servers to close the connection after an error, and then applies its default_action.
		return n, out, err
	}
	if !r.addr.IsValid() && r.clientAddr != nil {
		c.Fault(policyd.FaultKey, in[:n])
	}
	c.trackSession(&r)
	out = c.appendAction(ctx, &r, append(out, "action="...))
	return n, append(out, "\n\n"...), nil
}

// key are the attributes that do not change within a session.
type key struct {
	addr           netip.Addr
	client, server uint16 // ports; 0: unknown
}

// session is an SMTP session, as far as it is known.
type session struct {
	key
	message   instance // the last one seen
	encrypted bool
	greeted   bool // there were requests after CONNECT
	versioned bool // TLSVersion was called
	reported  [lists.OutcomeCount]bool
}

// isReported reports whether any outcome of the session was reported.
func (s *session) isReported() bool { return slices.Contains(s.reported[:], true) }

// instance is the attribute instance: PID.SECONDS.MICROSECONDS.NUMBER in hexadecimal. It is empty until MAIL was accepted.
// NUMBER counts the mail transactions of a session from 0.
type instance struct {
	process, seconds, micros, number uint64
	known                            bool
}

func parseInstance(text []byte) (i instance) {
	for n, part := range []*uint64{&i.process, &i.seconds, &i.micros, &i.number} {
		word, rest, more := bytes.Cut(text, []byte("."))
		v, ok := parseHex(word)
		if !ok || more == (n == 3) {
			return instance{}
		}
		*part, text = v, rest
	}
	i.known = true
	return i
}

// parseHex parses a number of 64 bits at most, in a third of the time of strconv.ParseUint.
func parseHex(text []byte) (v uint64, ok bool) {
	for _, c := range text {
		digit := c - '0'
		if digit > 9 {
			digit = c | 0x20 - 'a' + 10
			if digit < 10 {
				return 0, false
			}
		}
		if digit > 15 || v>>60 != 0 {
			return 0, false
		}
		v = v<<4 | uint64(digit)
	}
	return v, len(text) > 0
}

// parsePort returns a port number; 0 for "unknown", which Postfix sends behind some proxies.
func parsePort(text []byte) uint16 {
	n, _ := strconv.ParseUint(string(text), 10, 16)
	return uint16(n)
}

// endsBefore reports whether r, which has the same key, must belong to a later session.
func (s *session) endsBefore(r *request, message instance) bool {
	switch {
	case s.greeted && string(r.state) == "CONNECT", s.encrypted && !r.isEncrypted():
		return true
	case !message.known || !s.message.known || message == s.message:
		return false
	}
	return message.process != s.message.process || message.number <= s.message.number
}

// trackSession makes the session of r the current one.
func (c *conn) trackSession(r *request) {
	k, message := key{r.addr, parsePort(r.from), parsePort(r.port)}, parseInstance(r.instance)
	if !c.begun {
		// A previous connection may have broken within a session.
		c.current = c.recent.take(k)
		c.current.key, c.begun = k, true
	}
	if c.current.key != k || c.current.endsBefore(r, message) {
		if c.current.isReported() {
			c.takeRemembered(c.current.key)
		}
		c.current = session{key: k}
	}
	if message.known {
		c.current.message = message
	}
	c.current.encrypted = r.isEncrypted()
	c.current.greeted = c.current.greeted || string(r.state) != "CONNECT"
	c.remember()
}

// reportOutcome calls Outcome, once in a session for each outcome.
func (c *conn) reportOutcome(o lists.Outcome, client lists.Client, d lists.Decision) {
	if c.current.reported[o] {
		return
	}
	c.current.reported[o] = true
	c.remember()
	c.Outcome(o, client, d)
}

// reportVersion calls TLSVersion, once in a session, as soon as the version is known: a client in the clear may still use
// STARTTLS until it sends mail.
func (c *conn) reportVersion(r *request, d lists.Decision) {
	if c.TLSVersion == nil || c.current.versioned || r.isSubmission() || !r.isEncrypted() && !r.isMail() {
		return
	}
	c.current.versioned = true
	c.remember()
	c.TLSVersion(lists.ParseTLSVersion(r.encryption), r.viewClient(), d)
}

// remember stores the session if an outcome of it was reported.
func (c *conn) remember() {
	if c.current.isReported() {
		c.mu.Lock()
		c.remembered = c.current
		c.mu.Unlock()
		c.recent.add(c)
	}
}

// takeRemembered returns the session with key k that is remembered, and forgets it; the zero session if there is none.
func (c *conn) takeRemembered(k key) (s session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remembered.key == k {
		s, c.remembered = c.remembered, session{}
	}
	return s
}
