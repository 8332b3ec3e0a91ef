package maillog

import (
	"bytes"
	"hash/maphash"
)

// readSMTPD reads a line of Postfix's smtpd(8). A process serves one client at a time, so that the process tells which
// lines belong together.
func (r *Reader) readSMTPD(rec *record) {
	m := rec.message
	if len(m) < 8 {
		return
	}
	key := maphash.Bytes(r.seed, rec.origin)
	begin := func(peer []byte) *session {
		return r.begin(r.processes, key, Postfix, rec, peer)
	}
	switch m[0] {
	case 'c':
		if peer, _, ok := peerAfter(m, "connect from "); ok {
			if s := r.processes.get(key); s != nil {
				r.processes.end(s)
			}
			s := begin(peer)
			s.began, s.local = true, r.disabled.Contains(key)
			return
		}
	case 'd':
		if peer, counts, ok := peerAfter(m, "disconnect from "); ok {
			s := begin(peer)
			s.ended = true
			s.readCounts(counts)
			r.processes.end(s)
			return
		}
		if words, ok := bytes.CutPrefix(m, []byte("discarding EHLO keywords: ")); ok {
			s := begin(nil)
			s.hidden = s.hidden || hasKeyword(words, "STARTTLS")
			return
		}
	case 'S':
		if peer, reason, ok := peerAfter(m, "SSL_accept error from "); ok {
			begin(peer).fail(classifyAccept(reason), rec.line)
			return
		}
	case 'A', 'U', 'T', 'V':
		if peer, version, ok := peerWithTLS(m); ok {
			s := begin(peer)
			s.done, s.Version = true, version
			return
		}
	case 'w':
		if peer, ok := refusedPeer(m); ok {
			begin(peer).refuseTLS(rec.line)
			return
		}
		if e, ok := r.readLibraryError(m); ok {
			begin(nil).library.take(e, rec.line)
			return
		}
	}
	if r.isLocalTrouble(m) {
		if disablesTLS(m) {
			r.disabled.Add(key, struct{}{})
		}
		begin(nil).local = true
		return
	}
	r.readCommand(rec, begin)
}

// refusedPeer reads "warning: Refusing STARTTLS request from NAME[ADDR] for service smtp" and "warning: New TLS session rate
// limit exceeded: 2 from NAME[ADDR] for service smtp", behind a handshake that was one too many.
func refusedPeer(m []byte) (peer []byte, ok bool) {
	if rest, ok := bytes.CutPrefix(m, []byte("warning: New TLS session rate limit exceeded: ")); ok {
		_, rest = leadingNumber(rest)
		peer, _, ok := peerAfter(rest, " from ")
		return peer, ok
	}
	peer, _, ok = peerAfter(m, "warning: Refusing STARTTLS request from ")
	return peer, ok
}

// readCommand reads a line about a command or a message, with a queue ID in front or not.
func (r *Reader) readCommand(rec *record, begin func(peer []byte) *session) {
	m := rec.message
	id, text, ok := bytes.Cut(m, []byte(": "))
	if !ok || !isQueueID(id) {
		id, text = nil, m
	}
	if peer, after, ok := peerAfter(text, "client="); ok && id != nil {
		s := begin(peer)
		s.queued++
		s.LoggedIn = s.LoggedIn || bytes.HasPrefix(after, []byte(", sasl_"))
		return
	}
	if peer, _, ok := peerAfter(text, "lost connection after STARTTLS from "); ok {
		begin(peer).tried = true
		return
	}
	for _, within := range []string{"lost connection after RCPT", "lost connection after DATA", "timeout after RCPT", "timeout after DATA"} {
		if rest, ok := bytes.CutPrefix(text, []byte(within)); ok { // "DATA (7774180 bytes) from NAME[ADDR]"
			if at := bytes.Index(rest, []byte(" from ")); at >= 0 {
				if peer, _, ok := peerAfter(rest[at:], " from "); ok {
					begin(peer).abandoned = true
				}
			}
			return
		}
	}
	if peer, after, ok := peerAfter(text, "abort: TLS from "); ok { // smtpd_tls_req_ccert
		class := classClientCertificate
		if bytes.HasPrefix(after, []byte(": No client certificate")) {
			class = classNoClientCertificate
		}
		begin(peer).fail(class, rec.line)
		return
	}
	text = bytes.TrimPrefix(text, []byte("milter-"))
	if text, ok = bytes.CutPrefix(text, []byte("reject: ")); !ok {
		return
	}
	stage, text, _ := bytes.Cut(text, []byte(" "))
	if peer, after, ok := peerAfter(text, "from "); ok {
		s := begin(peer)
		s.rejected = true
		if s.queued > 0 && (string(stage) == "DATA" || string(stage) == "END-OF-MESSAGE" || string(stage) == "BDAT") {
			s.queued--
		}
		s.readHELO(after)
	}
}

// readCounts reads what smtpd counted (3.0 and later): " ehlo=2 starttls=1 mail=1 rcpt=0/1 commands=4/5", successes of
// attempts.
func (s *session) readCounts(b []byte) {
	var data, dataTries, bdat int
	for len(b) > 0 && b[0] == ' ' {
		equal := bytes.IndexByte(b, '=')
		if equal < 0 {
			break
		}
		name, numbers := b[1:equal], b[equal+1:]
		if end := bytes.IndexByte(numbers, ' '); end >= 0 {
			numbers, b = numbers[:end], numbers[end:]
		} else {
			b = nil
		}
		s.hasCounts = true
		good, rest := leadingNumber(numbers)
		tries := good
		if len(rest) > 1 && rest[0] == '/' {
			tries, _ = leadingNumber(rest[1:])
		}
		switch string(name) {
		case "ehlo":
			s.ehlo = good
		case "starttls":
			s.tried = tries > 0
			s.done = s.done || good > 0
		case "mail", "rcpt":
			s.commands += tries
			s.rejected = s.rejected || tries > good
		case "data":
			data, dataTries = good, tries
			s.rejected = s.rejected || tries > good
		case "bdat":
			bdat = good
		case "auth":
			s.commands += tries
			s.LoggedIn = s.LoggedIn || good > 0
		}
	}
	s.accepted = data
	if bdat > 0 { // a message in any number of pieces (RFC 3030)
		s.accepted += min(bdat, max(1, s.queued-dataTries))
	}
}

// readHELO reads the end of a line about a command: "... proto=ESMTP helo=<NAME>".
func (s *session) readHELO(b []byte) {
	if at := bytes.LastIndex(b, []byte(" helo=<")); at >= 0 && b[len(b)-1] == '>' {
		s.setHELO(b[at+len(" helo=<") : len(b)-1])
	}
}

// classifyAccept returns the class of what follows "SSL_accept error from NAME[ADDR]: ".
func classifyAccept(b []byte) Class {
	b = bytes.TrimPrefix(b, []byte(": "))
	if class, ok := classify(b); ok {
		return class
	}
	return classAcceptZero
}

// readLibraryError reads "warning: TLS library problem: ...".
func (r *Reader) readLibraryError(m []byte) (libraryError, bool) {
	text, ok := bytes.CutPrefix(m, []byte("warning: TLS library problem: "))
	if !ok {
		return libraryError{}, false
	}
	e, ok := parseLibraryError(text)
	if ok && e.class == classLocal {
		r.stats.Local++
	}
	return e, ok
}

// localTroubles begin the lines with which Postfix says that its own TLS does not work. No client has a part in them.
var localTroubles = [][]byte{
	[]byte("cannot load "), []byte("warning: cannot load "), []byte("warning: cannot get RSA "),
	[]byte("warning: cannot get DSA "), []byte("warning: cannot get ECDSA "), []byte("warning: error loading chain "),
	[]byte("warning: No server certs available"), []byte("warning: run-time library vs. compile-time header version mismatch"),
	[]byte("warning: Invalid TLS protocol list"), []byte("warning: problem with TLS"),
}

// disablesTLS reports whether the line of a trouble says that its process goes on without TLS.
func disablesTLS(m []byte) bool {
	return bytes.Contains(m, []byte("disabling TLS support")) || bytes.Contains(m, []byte("TLS won't be enabled"))
}

func (r *Reader) isLocalTrouble(m []byte) bool {
	if m[0] != 'c' && m[0] != 'w' {
		return false
	}
	for _, begin := range localTroubles {
		if bytes.HasPrefix(m, begin) {
			r.stats.Local++
			return true
		}
	}
	return false
}

// peerAfter reads prefix and "NAME[ADDR]" or "NAME[ADDR]:PORT", without the port. Postfix checks host names, so that the
// first bracket is its own.
func peerAfter(m []byte, prefix string) (peer, rest []byte, ok bool) {
	if len(m) < len(prefix) || string(m[:len(prefix)]) != prefix {
		return nil, nil, false
	}
	m = m[len(prefix):]
	open := bytes.IndexByte(m, '[')
	if open < 0 || bytes.IndexByte(m[:open], ' ') >= 0 {
		return nil, nil, false
	}
	closing := bytes.IndexByte(m[open:], ']')
	if closing < 0 {
		return nil, nil, false
	}
	peer, rest = m[:open+closing+1], m[open+closing+1:]
	if len(rest) > 1 && rest[0] == ':' && rest[1]-'0' < 10 {
		_, rest = leadingNumber(rest[1:])
	}
	return peer, rest, true
}

// peerWithTLS reads "Anonymous TLS connection established from NAME[ADDR][ to SNI]: TLSv1.3 with cipher ...". The first
// word is of the client's certificate.
func peerWithTLS(m []byte) (peer []byte, version string, ok bool) {
	_, m, _ = bytes.Cut(m, []byte(" "))
	peer, rest, ok := peerAfter(m, "TLS connection established from ")
	if !ok {
		return nil, "", false
	}
	before, _, _ := bytes.Cut(rest, []byte(" with cipher "))
	return peer, versionOf(before[bytes.LastIndexByte(before, ' ')+1:]), true
}

// versionOf returns the usual spelling of a version: Exim writes TLS1.3 for TLSv1.3.
func versionOf(b []byte) string {
	switch string(b) {
	case "TLSv1.3", "TLS1.3":
		return "TLSv1.3"
	case "TLSv1.2", "TLS1.2":
		return "TLSv1.2"
	case "TLSv1.1", "TLS1.1":
		return "TLSv1.1"
	case "TLSv1", "TLS1.0", "TLSv1/SSLv3", "TLS1":
		return "TLSv1"
	case "SSLv3", "SSL3.0":
		return "SSLv3"
	}
	return ""
}

func hasKeyword(words []byte, keyword string) bool {
	for word := range bytes.FieldsSeq(words) {
		if bytes.EqualFold(bytes.Trim(word, ","), []byte(keyword)) {
			return true
		}
	}
	return false
}

// isQueueID reports whether b is a queue ID, short or long, or NOQUEUE.
func isQueueID(b []byte) bool {
	for _, c := range b {
		if c-'0' > 9 && c|0x20-'a' > 25 {
			return false
		}
	}
	return len(b) >= 5 && len(b) <= 20
}

func leadingNumber(b []byte) (n int, rest []byte) {
	for len(b) > 0 && b[0]-'0' < 10 {
		n, b = min(10*n+int(b[0]-'0'), 1e9), b[1:]
	}
	return n, b
}

// serviceOf returns the service of a tag: postfix/submission/smtpd. The names are those of Debian's master.cf, and what
// others call the same.
func serviceOf(tag []byte) string {
	name, _, _ := bytes.Cut(tag, []byte("/smtpd"))
	switch {
	case bytes.Contains(name, []byte("submissions")), bytes.Contains(name, []byte("smtps")), bytes.HasSuffix(name, []byte("465")):
		return ServiceSubmissions
	case bytes.Contains(name, []byte("submission")), bytes.HasSuffix(name, []byte("587")):
		return ServiceSubmission
	}
	_, service, ok := bytes.Cut(name, []byte("/"))
	if !ok || string(service) == "25" {
		return ServiceSMTP
	}
	return string(service)
}
