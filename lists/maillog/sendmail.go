package maillog

import (
	"bytes"

	"ehlogate/lists"
)

// readSendmail reads a line of Sendmail's daemon. It forks for each connection, so that the process tells which lines
// belong together. Each line has the client in "relay=NAME [ADDR]" or "NAME [ADDR]".
func (r *Reader) readSendmail(rec *record) {
	text := rec.message
	var message uint64 // that the line is about
	if id, rest, ok := bytes.Cut(text, []byte(": ")); ok && isQueueID(id) {
		text, message = rest, r.hash(id)
	}
	if rest, ok := bytes.CutPrefix(text, []byte("STARTTLS=server, ")); ok {
		r.readSendmailTLS(rec, rest)
		return
	}
	switch {
	case bytes.HasPrefix(text, []byte("STARTTLS=server: file ")): // ... unsafe: No such file or directory
		r.stats.Local++
	case bytes.HasPrefix(text, []byte("from=")):
		// from=<A@B>, size=N, class=0, nrcpts=1, msgid=<ID>, proto=ESMTPS, daemon=MTA, relay=NAME [ADDR]. What the client
		// chose stands in front. Without msgid the client began a message and did not send it whole.
		if s := r.beginRelay(rec, text, lastField(text, "relay=")); s != nil {
			n, rest := leadingNumber(lastField(text, ", nrcpts="))
			if n > 0 && bytes.HasPrefix(rest, []byte(", msgid=")) {
				s.queued++
				s.lastMessage = message
			}
			s.LoggedIn = s.LoggedIn || bytes.Contains(text, []byte(", auth=")) && !bytes.Contains(text, []byte(", auth=NONE"))
			s.setDaemon(fieldOf(text, ", daemon="))
		}
	case bytes.HasPrefix(text, []byte("ruleset=")):
		// ruleset=check_rcpt, arg1=<A@B>, relay=NAME [ADDR], reject=550 5.7.1 ...
		if isAboutServer(text) {
			return
		}
		before, _, ok := bytes.Cut(text, []byte(", reject="))
		if s := r.beginRelay(rec, text, lastField(before, "relay=")); ok && s != nil {
			s.rejected = true
		}
	case bytes.HasPrefix(text, []byte("to=")):
		if s := r.connections.get(r.hash(rec.origin)); s != nil && refusesMessage(text) {
			s.refuse(message)
		}
	default:
		for _, words := range []string{" did not issue MAIL/EXPN/VRFY/ETRN during connection to ", " lost input channel to "} {
			if peer, daemon, ok := bytes.Cut(text, []byte(words)); ok {
				if s := r.beginRelay(rec, text, peer); s != nil {
					s.setDaemon(daemon)
					s.ended = true
				}
				return
			}
		}
	}
}

// isAboutServer reports whether the line of a ruleset is about a server that a message was to be sent to.
func isAboutServer(text []byte) bool {
	name, _, _ := bytes.Cut(fieldOf(text, "ruleset="), []byte(","))
	switch string(name) {
	case "tls_server", "tls_rcpt", "try_tls", "tls_clt_features", "authinfo":
		return true
	}
	return false
}

// refusesMessage reports whether the line of a recipient says that the message was not taken, after it was sent: it has no
// mailer. "to=<A@B>, delay=00:00:00, pri=30016, stat=Message exceeds maximum fixed size (2000)".
func refusesMessage(text []byte) bool {
	before, _, ok := bytes.Cut(text, []byte(", stat="))
	return ok && !bytes.Contains(before, []byte(", mailer=")) && !bytes.Contains(before, []byte(", dsn="))
}

// refuse notes that the server did not take a message whose line with the sender came last.
func (s *session) refuse(message uint64) {
	if s.lastMessage == message && s.queued > 0 {
		s.queued, s.lastMessage, s.rejected = s.queued-1, 0, true
	}
}

// readSendmailTLS reads "relay=NAME [ADDR], version=TLSv1.3, verify=NO, ..." after a handshake, and "error: accept
// failed=-1, reason=no shared cipher, SSL_error=1, errno=0, retry=-1, relay=NAME [ADDR]" after one that failed.
func (r *Reader) readSendmailTLS(rec *record, text []byte) {
	if rest, ok := bytes.CutPrefix(text, []byte("relay=")); ok {
		peer, rest, _ := bytes.Cut(rest, []byte(", version="))
		version, _, _ := bytes.Cut(rest, []byte(","))
		if s := r.beginRelay(rec, text, peer); s != nil {
			s.done, s.Version = true, versionOf(version)
		}
		return
	}
	if !bytes.HasPrefix(text, []byte("error: accept failed")) {
		if bytes.HasPrefix(text, []byte("error: ")) && !bytes.Contains(text, []byte("relay=")) {
			r.stats.Local++ // of its certificate or key, when it starts
		}
		return
	}
	if s := r.beginRelay(rec, text, lastField(text, "relay=")); s != nil {
		s.fail(classifySendmail(text), rec.line)
	}
}

// classifySendmail returns the class of a failure. Without a reason, SSL_get_error(3) tells more: 5 is an error of the
// connection, 2 and 3 mean that nothing came in time, as retry=0 does alone from 8.18.2 on.
func classifySendmail(text []byte) Class {
	reason, _, _ := bytes.Cut(fieldOf(text, "reason="), []byte(", "))
	if class, ok := classify(reason); ok {
		return class
	}
	number, _ := leadingNumber(fieldOf(text, "SSL_error="))
	errno, _ := leadingNumber(fieldOf(text, "errno="))
	switch {
	case number == 5 && errno == 104: // ECONNRESET
		return classReset
	case number == 5, number == 6:
		return classLostConnection
	case number == 2, number == 3, bytes.HasPrefix(fieldOf(text, "retry="), []byte("0")):
		return classTimeout
	}
	return ClassOther
}

// beginRelay opens the session of the client in peer, "NAME [ADDR]" or "NAME [ADDR] (may be forged)". A line with two
// clients is not used.
func (r *Reader) beginRelay(rec *record, line, peer []byte) *session {
	isForged := bytes.HasSuffix(peer, []byte(" (may be forged)"))
	peer = bytes.TrimSuffix(peer, []byte(" (may be forged)"))
	open := bytes.LastIndexByte(peer, '[')
	if !bytes.ContainsAny(peer, "[] ") {
		return nil // without an address: a local user, "relay=www-data@localhost"
	}
	if open < 0 || peer[len(peer)-1] != ']' || bytes.Count(line, []byte("relay=")) > 1 {
		if len(peer) > 0 {
			r.stats.Unclear++
		}
		return nil
	}
	addr, ok := lists.ParseAddrBytes(peer[open:])
	name := bytes.TrimRight(peer[:open], " ")
	if !ok || bytes.ContainsAny(name, " []") {
		r.stats.Unclear++
		return nil
	}
	s := r.begin(r.connections, r.hash(rec.origin), Sendmail, rec, peer)
	if s.Addr = addr; isForged {
		s.Name = ""
	}
	return s
}

// setDaemon takes the name of the daemon (DaemonPortOptions), which tells the port.
func (s *session) setDaemon(b []byte) {
	name, _, _ := bytes.Cut(b, []byte(","))
	switch {
	case bytes.HasPrefix(name, []byte("TLSM")):
		s.Service = ServiceSubmissions
	case bytes.HasPrefix(name, []byte("MSA")), bytes.HasPrefix(name, []byte("MSP")):
		s.Service = ServiceSubmission
	}
}

// fieldOf returns what follows the first key.
func fieldOf(b []byte, key string) []byte {
	_, after, _ := bytes.Cut(b, []byte(key))
	return after
}

// lastField returns what follows the last key.
func lastField(b []byte, key string) []byte {
	at := bytes.LastIndex(b, []byte(key))
	if at < 0 {
		return nil
	}
	return b[at+len(key):]
}
