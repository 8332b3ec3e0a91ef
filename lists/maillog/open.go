package maillog

import (
	"bytes"
	"time"

	"ehlogate/lists"
)

// session is a session whose end is not known yet, and what its lines said so far.
type session struct {
	Session
	key         uint64
	older       *session // in its table, by the last activity
	newer       *session
	peer        []byte // the client as the log writes it
	first, last stamp
	seen        stamp // last, by the clock of the Reader
	began       bool  // its first line is the beginning
	ended       bool  // its last line is the end

	failed  bool // the server says that the handshake failed
	reason  Class
	line    []byte // that says so, or that the client asks too often
	library libraryReason
	done    bool // the handshake was completed
	tried   bool // the client said STARTTLS

	local       bool // the server says that its own TLS does not work
	refused     bool // the server says that this client asks too often
	hidden      bool // the server says that it hid STARTTLS
	hasCounts   bool // the server counted the commands
	ehlo        int
	commands    int // that have to do with mail
	queued      int // messages that got a queue ID
	accepted    int // messages, by the server's counts of commands
	rejected    bool
	abandoned   bool   // the last message that got a queue ID was not sent whole
	lastMessage uint64 // of those that are queued, a hash of Sendmail's queue ID
	passed      bool   // postscreen handed it to smtpd, or tells of its end later
	handshaking bool   // in a tlsproxy
	waited      bool   // tlsproxy waited for the client as long as it may
}

// begin opens a session, or returns that of the key. A session with another client ends: its end is missing in the log.
func (r *Reader) begin(t *table, key uint64, server Server, rec *record, peer []byte) *session {
	s := t.get(key)
	if s != nil && peer != nil && len(s.peer) > 0 && !bytes.Equal(s.peer, peer) {
		if s.hasEvidence() {
			t.end(s)
			s = nil
		} else { // a proxy says for which client it speaks (XCLIENT_README, haproxy's PROXY protocol)
			s.peer = s.peer[:0]
		}
	}
	if s == nil {
		s = r.newSession(server, rec)
		s.Service = ServiceSMTP
		switch server {
		case Postfix:
			if string(rec.tag) != r.tag {
				r.tag, r.service = string(rec.tag), serviceOf(rec.tag)
			}
			s.Service = r.service
		case Exim:
			s.Service = "" // until the log tells
		}
		t.add(key, s, &r.stats)
	}
	s.last, s.seen = rec.at, r.now
	if peer != nil && len(s.peer) == 0 {
		s.setPeer(peer)
	}
	return s
}

// newSession returns a session that begins with a line. Those that are over are used again.
func (r *Reader) newSession(server Server, rec *record) *session {
	var s *session
	if n := len(r.free); n > 0 {
		s, r.free = r.free[n-1], r.free[:n-1]
		*s = session{peer: s.peer[:0], line: s.line[:0], library: libraryReason{line: s.library.line[:0]}}
	} else {
		s = &session{}
	}
	if r.host != string(rec.host) {
		r.host = string(rec.host)
	}
	s.Server, s.Host, s.first, s.last, s.seen = server, r.host, rec.at, rec.at, r.now
	return s
}

// setPeer reads "NAME[ADDR]", "[ADDR]:PORT" and the like.
func (s *session) setPeer(peer []byte) {
	s.peer = append(s.peer[:0], peer...)
	open := bytes.IndexByte(peer, '[')
	closing := bytes.IndexByte(peer, ']')
	if open >= 0 && closing > open {
		s.Addr, _ = lists.ParseAddrBytes(peer[open+1 : closing])
		s.Name = verifiedName(bytes.TrimRight(peer[:open], " "))
	}
}

// verifiedName returns a host name that the server verified, empty if it has none.
func verifiedName(b []byte) string {
	if len(b) == 0 || string(b) == "unknown" {
		return ""
	}
	name, ok := lists.ParseHostName(string(b))
	if !ok {
		return ""
	}
	return name
}

// setHELO takes a name that the client claims.
func (s *session) setHELO(name []byte) {
	if s.HELO == "" {
		s.HELO = string(name[:min(len(name), lists.MaxNameLength)])
	}
}

// fail takes the line of a handshake that failed.
func (s *session) fail(reason Class, line []byte) {
	s.failed, s.reason, s.line = true, reason, keepLine(s.line, line)
}

// refuseTLS takes a line that says that this client asks too often for TLS.
func (s *session) refuseTLS(line []byte) {
	if s.refused = true; !s.failed {
		s.line = keepLine(s.line, line)
	}
}

func (s *session) hasEvidence() bool {
	return s.failed || s.done || s.tried || s.queued > 0 || s.rejected || s.library.class != ClassNone
}

// finish draws the conclusion from what the lines said. The session is not to be used any more.
func (r *Reader) finish(s *session) {
	if len(r.free) < maxFree {
		defer func() { r.free = append(r.free, s) }()
	}
	if !s.Addr.IsValid() {
		if s.library.class != ClassNone {
			r.stats.Orphans++
		}
		return
	}
	if s.passed && !s.hasEvidence() { // it goes on in smtpd
		return
	}
	r.stats.Sessions++
	held := r.scanners.newSession()
	*held = heldSession{s.Session, s.seen}
	out := &held.Session
	out.Time, out.End = timeOf(s.first), timeOf(s.last)
	out.Complete = s.began && s.ended
	s.judgeTLS(out)
	switch {
	case !s.hasCounts && s.abandoned:
		out.Messages = max(0, s.queued-1)
	case !s.hasCounts:
		out.Messages = s.queued
	default:
		out.Messages = s.accepted
	}
	switch {
	case out.Messages > 0:
		out.Mail = MailAccepted
	case s.rejected:
		out.Mail = MailRejected
	}
	r.scanners.add(held)
}

func timeOf(at stamp) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}

// judgeTLS finds TLS, Class and Outcome, and the line that Class is from.
func (s *session) judgeTLS(out *Session) {
	switch {
	case s.failed:
		out.TLS, out.Class, out.Version = TLSFailed, s.reason, ""
		line := s.line
		// The accept error of a server that tells no more than -1 or 0, or what the client did next, is weaker than what its
		// TLS library says.
		if s.library.class != ClassNone && s.library.class != ClassOther || out.Class == classAcceptZero && s.library.class != ClassNone {
			out.Class, line = s.library.class, s.library.line
		}
		out.Outcome, out.Line = classes[out.Class].outcome, string(line)
		if s.local {
			out.Outcome = OutcomeLocal
		}
		out.Outcome = onSubmission(out.Service, out.Outcome, s.reason)
	case s.refused:
		out.TLS, out.Class, out.Outcome, out.Version = TLSFailed, classRateLimited, OutcomeLocal, ""
		out.Line = string(s.line)
	case s.done:
		out.TLS, out.Class, out.Outcome = TLSOK, ClassSuccess, OutcomeTLSOK
		switch {
		case classes[s.library.class].outcome == OutcomeCertRejected:
			out.Class, out.Outcome, out.Line = s.library.class, OutcomeCertRejectedLater, string(s.library.line)
		case s.hasCounts && s.ehlo < 2 && s.commands == 0 && out.Service != ServiceSubmissions:
			out.Class, out.Outcome = ClassHandshakeOnly, OutcomeAmbiguous
		}
	case s.hidden:
		out.TLS, out.Outcome = TLSNotOffered, OutcomeSuppressed
	case s.tried:
		out.TLS, out.Class, out.Outcome = TLSFailed, ClassOther, OutcomeAmbiguous
		switch {
		case s.local:
			out.Class, out.Outcome = classLocal, OutcomeLocal
		case s.Server == Postfix && s.began:
			// Postfix logs each handshake that fails. One that it did not begin, it refused, because it hides STARTTLS and is told
			// not to log that (silent-discard), or because of a parameter behind STARTTLS.
			out.Class = classRefused
		case s.Server == Postfix:
			out.Class = classLostAfter // the line that tells why may be missing, as the first are
		case s.Server == Exim:
			out.Class = classNoMail
		}
		out.Outcome = onSubmission(out.Service, out.Outcome, out.Class)
	default:
		out.TLS, out.Class, out.Outcome = TLSNone, ClassNone, OutcomeInfo
	}
}

// onSubmission returns the outcome of a failure on a service. What a mail program cannot do on submission says nothing about
// port 25. On the port of TLS without STARTTLS, a client that connects and goes away is a scanner.
func onSubmission(service string, o Outcome, reason Class) Outcome {
	if service == ServiceSubmissions && (reason == classLostConnection || reason == classReset) {
		return OutcomeScanner
	}
	if service == ServiceSubmission || service == ServiceSubmissions {
		switch o {
		case OutcomeIncapable, OutcomeCertRejected, OutcomeAttackOrBroken, OutcomeAmbiguous:
			return OutcomeSubmission
		}
	}
	return o
}
