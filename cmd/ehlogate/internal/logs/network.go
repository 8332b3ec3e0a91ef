package logs

import (
	"net/netip"
	"time"

	"ehlogate/lists/maillog"
)

// NetworkReport is what the logs tell of the clients with some addresses together, about their sessions on port 25. Its JSON
// is documented in ehlogate(8).
type NetworkReport struct {
	Network   string            `json:"network"`
	Since     time.Time         `json:"since"`    // when the daemon began to remember
	Clients   int               `json:"clients"`  // with a session in the log
	Sessions  uint64            `json:"sessions"` // of them
	TLS       map[string]uint32 `json:"tls"`      // sessions: "ok", "failed", "none", "not-offered"
	Messages  uint64            `json:"messages"` // accepted
	LastSeen  time.Time         `json:"last_seen,omitzero"`
	Encrypted int               `json:"encrypted_clients"` // that delivered mail, and with which TLS worked
}

// Network returns what the logs tell of the clients with the addresses from one to another.
func (s *Service) Network(from, to netip.Addr, name string) NetworkReport {
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	r := NetworkReport{Network: name, Since: t.since.UTC(), TLS: map[string]uint32{}}
	for _, tls := range maillog.AllTLS() {
		r.TLS[tls.String()] = 0
	}
	last := int64(0)
	for _, addr := range t.clients.Keys() {
		if addr.Less(from) || to.Less(addr) {
			continue
		}
		c, _ := t.clients.Peek(addr)
		r.Clients++
		for _, tls := range maillog.AllTLS() {
			r.Sessions += uint64(c.tls[tls])
			r.TLS[tls.String()] += c.tls[tls]
		}
		r.Messages += c.messages
		last = max(last, c.last)
		if c.messages > 0 && c.tls[maillog.TLSOK] > 0 {
			r.Encrypted++
		}
	}
	r.LastSeen = unixTime(last)
	return r
}
