package maillog

import (
	"bytes"
)

// readEximTLSError reads what follows "TLS error on connection from ": "NAME (HELO) [ADDR]:PORT I=[OUR]:25
// (gnutls_handshake): REASON".
func (r *Reader) readEximTLSError(rec *record, b []byte) {
	c, ok := r.findClient(b)
	if !ok {
		return
	}
	rest, kind := trimInterface(c.rest), eximLocal
	for _, known := range eximSteps {
		if after, ok := bytes.CutPrefix(rest, []byte(known.step)); ok {
			kind, rest = known.kind, after
			break
		}
	}
	if len(rest) == 0 && kind == eximLocal { // no more than the client
		return
	}
	r.addEximTLSError(rec, b, c, kind, rest)
}

// readEximUnderTLS reads what follows one of eximUnderTLS: "NAME (HELO) [ADDR]:PORT error:0A000412:...", or ": REASON".
func (r *Reader) readEximUnderTLS(rec *record, b []byte) {
	if c, ok := r.findClient(b); ok {
		r.addEximTLSError(rec, b, c, eximLater, trimInterface(c.rest))
	}
}

// trimInterface removes " I=[OUR]:25", which stands behind a client.
func trimInterface(b []byte) []byte {
	if bytes.HasPrefix(b, []byte(" I=[")) {
		if end := bytes.IndexByte(b[1:], ' '); end > 0 {
			return b[1+end:]
		}
		return nil
	}
	return b
}

// addEximTLSError takes a failure of TLS with its reason. b begins with the client.
func (r *Reader) addEximTLSError(rec *record, b []byte, c eximClient, kind eximKind, reason []byte) {
	class := classLocal
	if kind != eximLocal {
		class = classifyExim(reason)
	}
	if kind == eximLater && c.key(rec) == nil && classes[class].outcome != OutcomeCertRejected {
		return // of a session that other lines tell more about
	}
	s := r.beginExim(rec, b)
	if s == nil {
		return
	}
	switch kind {
	case eximLater:
		s.done, s.library.class, s.library.line = true, class, keepLine(s.library.line, rec.line)
	case eximLocal:
		s.fail(classLocal, rec.line)
		r.stats.Local++
	default:
		s.fail(class, rec.line)
	}
	if s.key == 0 {
		r.eximFailed.Add(s.Addr, r.now)
	}
	r.endUnkeyed(s)
}

// eximKind is what an error that Exim logs has to do with.
type eximKind uint8

const (
	eximLocal     eximKind = iota // the server itself, before the handshake begins
	eximHandshake                 // the client, and that there is a handshake
	eximLater                     // the client, when the handshake is over
)

// eximSteps are the steps in which a client has a part. An error in another is of the server: its certificate, its ciphers.
var eximSteps = []struct {
	step string
	kind eximKind
}{
	{" (gnutls_handshake)", eximHandshake}, {" (SSL_accept)", eximHandshake}, {" (tls lib accept fn)", eximHandshake},
	{" (handshake)", eximHandshake}, {" (certificate verification failed)", eximHandshake}, {" SSL_accept", eximHandshake},
	{" (recv)", eximLater}, {" (send)", eximLater}, {" (uncork)", eximLater},
}

// classifyExim returns the class of ": REASON" in the words of GnuTLS, or of OpenSSL with the line of its error queue. A
// version of GnuTLS writes the name of an alert alone, and nothing if it knows none.
func classifyExim(b []byte) Class {
	b = bytes.TrimPrefix(b, []byte(": "))
	if len(b) == 0 {
		return classAlertUnspecified
	}
	if bytes.HasPrefix(b, []byte("Bad ALPN presented (h")) { // http/1.1, h2
		return classHTTP
	}
	if e, ok := parseLibraryError(b); ok {
		return e.class
	}
	if class, ok := gnutlsAlerts[normalizeReason(b)]; ok {
		return class
	}
	if class, ok := classify(b); ok {
		return class
	}
	if words, detail, ok := bytes.Cut(b, []byte(": ")); ok {
		if class, ok := gnutlsAlerts[normalizeReason(detail)]; ok {
			return class
		}
		if class, ok := classify(words); ok {
			return class
		}
	}
	return ClassOther
}
