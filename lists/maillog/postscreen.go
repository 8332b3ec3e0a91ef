package maillog

import (
	"bytes"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// readPostscreen reads a line of postscreen(8). It serves all clients, so that the client's address and port tell which
// lines belong together.
func (r *Reader) readPostscreen(rec *record) {
	word, rest, _ := bytes.Cut(rec.message, []byte(" "))
	switch string(word) {
	case "CONNECT":
		if peer, _, ok := portAfter(rest, "from "); ok {
			r.beginPostscreen(rec, peer).began = true
		}
	case "PASS": // then smtpd takes the session over, unless there was a test that needs replies of postscreen
		_, client, _ := bytes.Cut(rest, []byte(" ")) // behind NEW or OLD
		if peer, _, ok := portAfter(client, ""); ok {
			r.beginPostscreen(rec, peer).passed = true
		}
	case "DISCONNECT":
		if peer, _, ok := portAfter(rest, ""); ok {
			s := r.beginPostscreen(rec, peer)
			s.passed, s.ended = false, true
			if !s.handshaking { // else tlsproxy has something to say yet
				r.connections.end(s)
			}
		}
	case "NOQUEUE:":
		if text, ok := bytes.CutPrefix(rest, []byte("reject: ")); ok {
			_, text, _ := bytes.Cut(text, []byte(" "))
			if peer, text, ok := portAfter(text, "from "); ok {
				s := r.beginPostscreen(rec, peer)
				s.rejected = true
				s.readHELO(text)
			}
		}
	}
}

func (r *Reader) beginPostscreen(rec *record, peer []byte) *session {
	return r.begin(r.connections, r.postscreenKey(rec, peer), Postscreen, rec, peer)
}

func (r *Reader) postscreenKey(rec *record, peer []byte) uint64 {
	return r.hash(rec.host, rec.instance(), peer)
}

// portAfter reads prefix and "[ADDR]:PORT".
func portAfter(m []byte, prefix string) (peer, rest []byte, ok bool) {
	m, ok = bytes.CutPrefix(m, []byte(prefix))
	if !ok || len(m) == 0 || m[0] != '[' {
		return nil, nil, false
	}
	end := bytes.Index(m, []byte("]:"))
	if end < 0 {
		return nil, nil, false
	}
	_, rest = leadingNumber(m[end+2:])
	return m[:len(m)-len(rest)], rest, true
}

// maxProxies bounds the processes of tlsproxy that are remembered.
const maxProxies = 256

// proxy is a process of tlsproxy(8), which speaks TLS for postscreen, with many clients at a time. What its TLS library says
// has no client in it.
type proxy struct {
	handshakes int // that have begun
	library    libraryReason
	disabled   bool   // it said that it cannot do TLS
	clients    int    // that are connected
	newest     uint64 // the key of the session of the newest, 0 if that is over
}

func newProxies() *simplelru.LRU[uint64, *proxy] {
	proxies, _ := simplelru.NewLRU[uint64, *proxy](maxProxies, nil) // an error is a size below 1
	return proxies
}

func (r *Reader) readTLSProxy(rec *record) {
	m := rec.message
	key := r.hash(rec.origin)
	p, ok := r.proxies.Get(key)
	if !ok {
		p = &proxy{}
		r.proxies.Add(key, p)
	}
	if e, ok := r.readLibraryError(m); ok {
		if s := r.connections.get(p.newest); p.clients == 1 && s != nil && s.done { // an alert after the handshake
			s.library.take(e, rec.line)
			return
		}
		p.library.take(e, rec.line)
		return
	}
	if peer, _, ok := portAfter(m, "CONNECT from "); ok {
		if p.handshakes == 0 {
			p.library.reset()
		}
		s := r.beginPostscreen(rec, peer)
		s.tried, s.handshaking = true, true
		p.handshakes++
		p.clients++
		p.newest = s.key
		return
	}
	if peer, version, ok := peerWithTLS(m); ok {
		if port, _, ok := portAfter(m[bytes.IndexByte(m, '['):], ""); ok {
			peer = port
		}
		s := r.beginPostscreen(rec, peer)
		s.done, s.Version = true, version
		r.settle(p, s)
		return
	}
	if at := bytes.Index(m, []byte(" peer=")); at > 0 && bytes.HasPrefix(m, []byte("TLS handshake failed for service=")) {
		if peer, _, ok := portAfter(m[at:], " peer="); ok {
			s := r.beginPostscreen(rec, peer)
			s.fail(p.reasonOf(s, rec.line))
			r.settle(p, s)
		}
		return
	}
	if peer, _, ok := portAfter(m, "warning: ciphertext read/write timeout for "); ok {
		s := r.beginPostscreen(rec, peer)
		s.waited, s.line = true, keepLine(s.line, rec.line)
		return
	}
	if peer, _, ok := portAfter(m, "DISCONNECT "); ok {
		key := r.postscreenKey(rec, peer)
		if p.clients = max(0, p.clients-1); p.newest == key {
			p.newest = 0
		}
		if s := r.connections.get(key); s != nil && s.handshaking {
			// It logs each handshake that fails if it can do TLS, and others if tlsproxy_tls_loglevel is 1 or more.
			if s.done = !p.disabled; p.disabled {
				s.fail(classLocal, nil)
			}
			r.settle(p, s)
		}
		return
	}
	if len(m) > 0 && r.isLocalTrouble(m) && disablesTLS(m) {
		p.disabled = true
	}
}

// reasonOf returns why the handshake of a session failed, and the line that tells it. line says that it failed.
func (p *proxy) reasonOf(s *session, line []byte) (Class, []byte) {
	switch {
	case p.disabled:
		return classLocal, line
	case s.waited:
		return classTimeout, s.line
	case p.handshakes > 1: // what the library said may be about another client
		return ClassOther, line
	case p.library.class != ClassNone:
		return p.library.class, p.library.line
	case !s.handshaking: // the beginning is missing
		return ClassOther, line
	}
	return classLostConnection, line // of which the library says nothing
}

// settle notes that the handshake of a session is over.
func (r *Reader) settle(p *proxy, s *session) {
	if s.handshaking {
		s.handshaking = false
		p.handshakes--
		p.library.reset()
	}
	if s.ended {
		r.connections.end(s)
	}
}
