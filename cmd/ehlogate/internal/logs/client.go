package logs

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"ehlogate/lists/maillog"
)

// maxClasses is how many ways to fail are told apart for one client. A scanner has more.
const maxClasses = 8

// client is what is known of one address.
type client struct {
	name     string // verified, at last
	first    int64  // seconds since 1970
	last     int64
	tls      [4]uint32 // sessions, by maillog.TLS
	lastTLS  int64
	mail     [3]uint32 // sessions, by maillog.Mail
	messages uint64
	failures []failure
	others   uint32 // failures that have no place
}

type failure struct {
	class   maillog.Class
	outcome maillog.Outcome // of the last
	count   uint32
	last    int64
}

func (c *client) add(s *maillog.Session) {
	at := s.End
	if at.IsZero() {
		at = time.Now()
	}
	now := at.Unix()
	if c.first == 0 {
		c.first = now
	}
	c.last = max(c.last, now)
	if s.Name != "" {
		c.name = s.Name
	}
	c.tls[s.TLS]++
	c.mail[s.Mail]++
	c.messages += uint64(s.Messages)
	if s.TLS == maillog.TLSOK {
		c.lastTLS = max(c.lastTLS, now)
	}
	if s.IsFailure() {
		c.addFailure(s, now)
	}
}

func (c *client) addFailure(s *maillog.Session, now int64) {
	i := slices.IndexFunc(c.failures, func(f failure) bool { return f.class == s.Class })
	switch {
	case i >= 0:
		f := &c.failures[i]
		f.outcome, f.count, f.last = s.Outcome, f.count+1, max(f.last, now)
	case len(c.failures) < maxClasses:
		c.failures = append(c.failures, failure{s.Class, s.Outcome, 1, now})
	default:
		c.others++
	}
}

// ClientReport is what the logs tell of a client, about its sessions on port 25. Its JSON is documented in ehlogate(8).
type ClientReport struct {
	Addr      string            `json:"addr"`
	Known     bool              `json:"known"`          // a session of it was in the log
	Since     time.Time         `json:"since"`          // when the daemon began to remember
	Name      string            `json:"name,omitempty"` // that the mail server verified
	FirstSeen time.Time         `json:"first_seen,omitzero"`
	LastSeen  time.Time         `json:"last_seen,omitzero"`
	LastTLS   time.Time         `json:"last_tls,omitzero"` // when TLS worked last
	TLS       map[string]uint32 `json:"tls,omitempty"`     // sessions: "ok", "failed", "none", "not-offered"
	Mail      map[string]uint32 `json:"mail,omitempty"`    // sessions: "accepted", "rejected", "none"
	Messages  uint64            `json:"messages"`          // accepted
	Failures  []Failure         `json:"failures,omitempty"`
	Others    uint32            `json:"other_failures,omitempty"` // of more classes than are told apart
}

// Failure is one way in which TLS failed.
type Failure struct {
	Class   string    `json:"class"`
	Outcome string    `json:"outcome"` // what the last one means
	Count   uint32    `json:"count"`
	Last    time.Time `json:"last"`
}

// Client returns what the logs tell of a client.
func (s *Service) Client(addr netip.Addr) ClientReport {
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	r := ClientReport{Addr: addr.String(), Since: t.since.UTC()}
	c, ok := t.clients.Peek(addr)
	if !ok {
		return r
	}
	r.Known, r.Name, r.Messages, r.Others = true, c.name, c.messages, c.others
	r.FirstSeen, r.LastSeen, r.LastTLS = unixTime(c.first), unixTime(c.last), unixTime(c.lastTLS)
	r.TLS, r.Mail = map[string]uint32{}, map[string]uint32{}
	for _, tls := range maillog.AllTLS() {
		r.TLS[tls.String()] = c.tls[tls]
	}
	for _, mail := range maillog.AllMail() {
		r.Mail[mail.String()] = c.mail[mail]
	}
	for _, f := range c.failures {
		r.Failures = append(r.Failures, Failure{f.class.String(), f.outcome.String(), f.count, unixTime(f.last)})
	}
	slices.SortFunc(r.Failures, func(a, b Failure) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class)) })
	return r
}

func unixTime(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
