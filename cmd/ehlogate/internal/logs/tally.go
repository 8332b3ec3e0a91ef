package logs

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"ehlogate/lists/maillog"
)

// maxClients bounds the memory: about 400 bytes for each client, and the least recently seen is forgotten.
const maxClients = 100_000

// tally has what was counted. It outlives changes of the settings.
type tally struct {
	mu       sync.Mutex
	since    time.Time
	clients  *simplelru.LRU[netip.Addr, *client]
	sessions map[sessionKey]uint64
	failures map[failureKey]uint64
	lines    map[string]Lines // by source
}

type sessionKey struct {
	server maillog.Server
	tls    maillog.TLS
	mail   maillog.Mail
}

type failureKey struct {
	class  maillog.Class
	server maillog.Server
}

// Lines counts lines of a log.
type Lines struct{ All, Unread uint64 } // Unread were not understood

func newTally(now time.Time) *tally {
	t := &tally{since: now, sessions: map[sessionKey]uint64{}, failures: map[failureKey]uint64{}, lines: map[string]Lines{}}
	t.clients, _ = simplelru.NewLRU[netip.Addr, *client](maxClients, nil) // an error is a size below 1
	return t
}

// keepSources forgets the counts of other sources.
func (t *tally) keepSources(names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.lines {
		if !slices.Contains(names, name) {
			delete(t.lines, name)
		}
	}
}

func (t *tally) addLines(source string, n Lines) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := t.lines[source]
	t.lines[source] = Lines{have.All + n.All, have.Unread + n.Unread}
}

func (t *tally) addSession(s *maillog.Session) {
	if !s.IsPort25() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions[sessionKey{s.Server, s.TLS, s.Mail}]++
	if s.IsFailure() {
		t.failures[failureKey{s.Class, s.Server}]++
	}
	c, ok := t.clients.Get(s.Addr)
	if !ok {
		c = &client{}
		t.clients.Add(s.Addr, c)
	}
	c.add(s)
}

// SessionCount is the number of sessions on port 25 of one kind.
type SessionCount struct {
	MTA, TLS, Mail string
	Count          uint64
}

// FailureCount is the number of sessions on port 25 in which TLS failed in one way.
type FailureCount struct {
	Class, MTA string
	Count      uint64
}

// Counts are what was counted: each combination, also those that did not occur.
type Counts struct {
	Sessions []SessionCount
	Failures []FailureCount
	Lines    map[string]Lines // by source
	Clients  int              // that are remembered
}

// Counts returns what was counted so far.
func (s *Service) Counts() Counts {
	t := s.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Counts{Lines: map[string]Lines{}, Clients: t.clients.Len()}
	for _, server := range maillog.Servers() {
		for _, tls := range maillog.AllTLS() {
			for _, mail := range maillog.AllMail() {
				n := t.sessions[sessionKey{server, tls, mail}]
				out.Sessions = append(out.Sessions, SessionCount{server.String(), tls.String(), mail.String(), n})
			}
		}
		for _, class := range maillog.FailureClasses() {
			out.Failures = append(out.Failures, FailureCount{class.String(), server.String(), t.failures[failureKey{class, server}]})
		}
	}
	for _, src := range s.sources {
		out.Lines[src.name] = t.lines[src.name]
	}
	return out
}
