package maillog

import (
	"net/netip"
	"time"
)

// Session is what a log tells of one connection to a mail server. The words of its types are those of the documentation.
type Session struct {
	Time    time.Time // of its first line; zero if the log has no times
	End     time.Time // of its last line
	Server  Server
	Host    string // that wrote the log, as the log names it; empty if it does not
	Service string // [ServiceSMTP], [ServiceSubmission], [ServiceSubmissions], another name in the log, or empty if not known
	Addr    netip.Addr
	Name    string // verified by the mail server; empty if there is none, or the server does not log it
	HELO    string // as the client claimed; empty unless the log has it
	TLS     TLS
	Version string // of TLS, as the log has it, such as TLSv1.3; empty if TLS was not used
	Class   Class
	Outcome Outcome
	Mail    Mail
	// Messages is the number of messages that were accepted.
	Messages int
	// Line is the line of the log that Class was read from, if TLS failed, even if only after the handshake; empty if no line tells
	// why, as where the server counted a STARTTLS and logged nothing else. Of a line of JSON it is the text in it. It has at most
	// [MaxSessionLine] bytes, and may have any: clients choose parts of it.
	Line string
	// LoggedIn reports that the client authenticated, which senders of mail from other domains do not.
	LoggedIn bool
	// Complete reports that the log has the beginning and the end of the session.
	Complete bool
}

// IsPort25 reports whether a session is one of those that ehlogate decides about. A service that is not known, or has a name
// of its own, counts as port 25.
func (s *Session) IsPort25() bool {
	return s.Service != ServiceSubmission && s.Service != ServiceSubmissions
}

// IsFailure reports whether TLS did not work, even if only after the handshake.
func (s *Session) IsFailure() bool {
	return s.TLS == TLSFailed || s.Outcome == OutcomeCertRejectedLater
}

// The services that matter here. Each mail server has its own names for them.
const (
	ServiceSMTP        = "smtp"        // port 25
	ServiceSubmission  = "submission"  // port 587
	ServiceSubmissions = "submissions" // port 465: TLS from the first byte (RFC 8314)
)

// Server is a kind of mail server.
type Server uint8

// The mail servers. Postscreen is the part of Postfix that answers clients before smtpd does.
const (
	Postfix Server = iota
	Postscreen
	Sendmail
	Exim
	serverCount
)

var serverNames = [serverCount]string{"postfix", "postscreen", "sendmail", "exim"}

func (s Server) String() string { return serverNames[s] }

// Servers returns all mail servers.
func Servers() []Server { return []Server{Postfix, Postscreen, Sendmail, Exim} }

// TLS is what became of TLS in a session.
type TLS uint8

const (
	// TLSNone means that the client did not ask for TLS.
	TLSNone TLS = iota
	// TLSOK means that the handshake was completed.
	TLSOK
	// TLSFailed means that the client asked for TLS and it failed.
	TLSFailed
	// TLSNotOffered means that the server hid STARTTLS from the client, and that the log says so: Postfix does.
	TLSNotOffered
	tlsCount
)

var tlsNames = [tlsCount]string{"none", "ok", "failed", "not-offered"}

func (t TLS) String() string { return tlsNames[t] }

// AllTLS returns all that can become of TLS.
func AllTLS() []TLS { return []TLS{TLSNone, TLSOK, TLSFailed, TLSNotOffered} }

// Mail is what became of the mail of a session.
type Mail uint8

// MailNone means that the client sent none, or that the log does not tell.
const (
	MailNone Mail = iota
	MailAccepted
	MailRejected
	mailCount
)

var mailNames = [mailCount]string{"none", "accepted", "rejected"}

func (m Mail) String() string { return mailNames[m] }

// AllMail returns all that can become of mail.
func AllMail() []Mail { return []Mail{MailNone, MailAccepted, MailRejected} }
