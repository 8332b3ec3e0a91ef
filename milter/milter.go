// Package milter is a milter for Postfix 2.5 and Sendmail 8.14 or later, built on go-milter. The protocol is that of
// libmilter (mfdef.h).
//
// A milter cannot change the EHLO reply. This one reports the decision about the client's address, refuses mail without TLS
// from clients that must use TLS, reports suppressed clients that use TLS all the same, and can add a header to mail. To
// everything else it answers "continue".
package milter

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"

	"github.com/emersion/go-milter"

	"ehlogate/lists"
	"ehlogate/lists/printable"
	"ehlogate/milter/oneconn"
)

// Header is the name of the header that has the decision, for programs that filter mail later.
const Header = "X-ehlogate"

// Options are the settings that a reload of the config can change.
type Options struct {
	// RequireReply is the SMTP reply to MAIL without TLS from a client that must use TLS, such as
	// "450 4.7.0 TLS required"; see CheckReply.
	RequireReply string
	// AddHeader adds Header to mail, and removes headers of that name that the client sent.
	AddHeader bool
}

// Server serves milter connections.
type Server struct {
	Decider lists.Decider
	// Options returns the settings for a decision, or the present ones for the zero Decision. AddHeader counts from the
	// begin of the connection.
	Options func(d lists.Decision) Options
	// Outcome is called for every outcome except OutcomeOffered, once in an SMTP session.
	Outcome func(o lists.Outcome, c lists.Client, d lists.Decision)
	// TLSVersion is called once in an SMTP session on port 25 that sends mail or uses TLS, with the version of TLS; nil
	// means never.
	TLSVersion func(v lists.TLSVersion, c lists.Client, d lists.Decision)
	// Fault reports an invalid packet, with the reason oversize, malformed, truncated or timeout, or FaultMacros.
	Fault func(reason string)
}

// FaultMacros is the reason of Server.Fault if a client that must use TLS sends mail and the mail server does not send the
// macros that show whether TLS is in use.
const FaultMacros = "macros"

// macros are the macros to request from the mail server, in place of its default macros. By default it sends {tls_version}
// only at HELO, which is too early for clients that send no second EHLO after STARTTLS, and never {daemon_port}. Postfix
// and Sendmail keep a list of macros for each milter, and know all of these.
//
// Every client has a {client_port}, and no mail server sends it at MAIL by default. So if it is there, the mail server uses
// this list; then TLS is in use if and only if {tls_version} is there too. Neither server sends an empty macro.
var macros = func() (b []byte) {
	for _, list := range []struct {
		stage milter.Stage
		names string
	}{
		{milter.StageConnect, "{client_resolve} {daemon_port}"},
		{milter.StageHelo, "{tls_version}"},
		{milter.StageMailFrom, "{client_port} {tls_version} {auth_type} {auth_authen}"},
	} {
		b = binary.BigEndian.AppendUint32(b, uint32(list.stage))
		b = append(append(b, list.names...), 0)
	}
	return b
}()

// maxVersion is the protocol version that has lists of macros.
const maxVersion = 6

// Serve serves one connection until it ends, and closes it.
func (s *Server) Serve(ctx context.Context, conn net.Conn) {
	f := &packetConn{Conn: conn, fault: s.Fault}
	sess := &session{server: s, ctx: ctx, packets: f, cfg: s.Options(lists.Decision{})}
	if err := sess.negotiate(); err != nil {
		conn.Close()
		return
	}
	// go-milter calls NewMilter after every final reply, within a connection. The state of the session must be kept.
	srv := &milter.Server{NewMilter: func() milter.Milter { return sess }}
	_ = srv.Serve(oneconn.New(f)) // returns when the connection is closed
}

const headerActions = milter.OptAddHeader | milter.OptChangeHeader

// negotiate requests only actions that the mail server offers: it closes the connection to a milter that requests others.
func (s *session) negotiate() error {
	version, offered, skips, err := s.packets.peekOffer()
	if err != nil || version == 0 {
		return err
	}
	actions := offered & milter.OptSetSymList
	skip := milter.OptNoRcptTo | milter.OptNoBody | milter.OptNoEOH | milter.OptNoData | milter.OptNoUnknown
	if s.cfg.AddHeader = s.cfg.AddHeader && offered&headerActions == headerActions; s.cfg.AddHeader {
		actions |= headerActions
	} else {
		skip |= milter.OptNoHeaders
	}
	var macroLists []byte
	if s.listed = actions&milter.OptSetSymList != 0; s.listed {
		macroLists = macros
	}
	s.packets.replaceOffer(min(version, maxVersion), actions, skip&skips, macroLists)
	return nil
}

// session is one SMTP session. Its methods are not called concurrently.
type session struct {
	milter.NoOpMilter
	server  *Server
	ctx     context.Context
	packets *packetConn
	cfg     Options
	listed  bool // the mail server accepts a list of macros

	known      facts
	client     lists.Client
	atEHLO     lists.Decision
	ownHeaders int // number of headers named Header in the message
	reported   [lists.OutcomeCount]bool
	versioned  bool // TLSVersion was called
}

// facts are what macros say about a session. Each stage has its own macros; what one stage says is true for later stages.
type facts struct {
	verified     bool // the host name is verified
	encrypted    bool
	version      lists.TLSVersion
	macrosListed bool // the mail server uses the list of macros
	login        bool
	submission   bool // the client connected to a submission port
}

func (f *facts) readMacros(m *milter.Modifier) {
	for name, value := range m.Macros {
		if n := len(name); n > 2 && name[0] == '{' && name[n-1] == '}' { // macros of one letter may have no braces
			name = name[1 : n-1]
		}
		switch is := value != ""; name {
		case "client_resolve":
			f.verified = value == "OK"
		case "daemon_port":
			f.submission = value == "587" || value == "465"
		case "client_port":
			f.macrosListed = is
		case "tls_version":
			if is {
				f.encrypted, f.version = true, lists.ParseTLSVersion(value)
			}
		case "auth_type", "auth_authen":
			f.login = f.login || is
		}
	}
}

// maxName is how many bytes of a name are kept, by RFC 5321 section 4.5.3.1.2.
const maxName = 255

// boundName returns a normalized copy of at most maxName bytes. It cuts off the begin of a longer name, since lists match
// the end of names.
func boundName(s string) string {
	s = lists.NormalizeName(s)
	return strings.Clone(s[max(0, len(s)-maxName):])
}

// Connect starts a session. go-milter does not parse IPv6 addresses as Sendmail spells them, so the address is read from
// the packet.
func (s *session) Connect(host, _ string, _ uint16, _ net.IP, m *milter.Modifier) (milter.Response, error) {
	s.known, s.reported, s.versioned, s.ownHeaders = facts{}, [lists.OutcomeCount]bool{}, false, 0
	s.known.readMacros(m)
	s.client = lists.Client{Addr: s.packets.clientAddr()}
	// Postfix sends a verified name or an address in brackets. Sendmail sends any name that reverse DNS has.
	if name := boundName(host); s.known.verified && !strings.HasPrefix(name, "[") {
		s.client.Name = name
	}
	s.atEHLO = s.server.Decider.Decide(s.ctx, lists.Client{Addr: s.client.Addr})
	return milter.RespContinue, nil
}

// Helo may be called again, usually after STARTTLS.
func (s *session) Helo(name string, m *milter.Modifier) (milter.Response, error) {
	s.known.readMacros(m)
	s.client.HELO = boundName(name)
	s.judge(false)
	return milter.RespContinue, nil
}

// MailFrom refuses mail without TLS from clients that must use TLS.
func (s *session) MailFrom(_ string, m *milter.Modifier) (milter.Response, error) {
	s.known.macrosListed = false // even if {client_port} came at an earlier stage
	s.known.readMacros(m)
	s.ownHeaders = 0
	if s.judge(true) == lists.OutcomeRequireUnmet {
		return newReply(s.server.Options(s.atEHLO).RequireReply), nil
	}
	return milter.RespContinue, nil
}

// Header counts headers named Header that the client sent.
func (s *session) Header(name, _ string, m *milter.Modifier) (milter.Response, error) {
	clear(m.Headers) // go-milter collects the headers of all messages, which is not used here
	if strings.EqualFold(name, Header) {
		s.ownHeaders++
	}
	return milter.RespContinue, nil
}

// Body is the end of a message.
func (s *session) Body(m *milter.Modifier) (milter.Response, error) {
	if !s.cfg.AddHeader {
		return milter.RespContinue, nil
	}
	// From the last to the first, since removing one renumbers those after it.
	for i := s.ownHeaders; i > 0; i-- {
		if err := m.ChangeHeader(i, Header, ""); err != nil {
			return nil, err
		}
	}
	if err := m.AddHeader(Header, s.headerValue()); err != nil {
		return nil, err
	}
	return milter.RespContinue, nil
}

// Abort ends a message, not the session.
func (s *session) Abort(*milter.Modifier) error {
	s.ownHeaders = 0
	return nil
}

// judge returns the outcome of the session so far, and reports each outcome once.
func (s *session) judge(mail bool) lists.Outcome {
	full := s.atEHLO
	if full.Action == lists.Require {
		full = s.server.Decider.Decide(s.ctx, s.client)
	}
	sure := s.known.encrypted || s.listed && s.known.macrosListed
	if mail && full.Action == lists.Require && !sure {
		s.server.Fault(FaultMacros)
	}
	s.reportVersion(mail && sure)
	o := lists.JudgeSession(lists.Session{
		AtEHLO: s.atEHLO.Action, Full: full.Action, Mail: mail && sure, Encrypted: s.known.encrypted,
		Submission: s.known.submission || s.known.login, Login: s.known.login,
	})
	if o != lists.OutcomeOffered && !s.reported[o] {
		s.reported[o] = true
		s.server.Outcome(o, s.client, s.atEHLO)
	}
	return o
}

// reportVersion calls TLSVersion, once in a session. clear means that a session without TLS stays so.
func (s *session) reportVersion(clear bool) {
	if s.server.TLSVersion == nil || s.versioned || s.known.submission || s.known.login || !s.known.encrypted && !clear {
		return
	}
	s.versioned = true
	s.server.TLSVersion(s.known.version, s.client, s.atEHLO)
}

func (s *session) headerValue() string {
	v := "starttls=" + s.atEHLO.Action.String()
	if s.atEHLO.List != nil {
		v += "; list=" + s.atEHLO.List.Name
	}
	if e := s.atEHLO.Entry(); e.Text != "" {
		v += "; entry=" + printable.EscapeASCII(e.Text)
	}
	return v
}

func newReply(text string) milter.Response {
	// Sendmail takes a single % for the begin of a format.
	return milter.NewResponseStr('y', strings.ReplaceAll(text, "%", "%%"))
}

// CheckReply returns an error if text is not valid for Options.RequireReply: a code 4xx or 5xx, an enhanced status code of
// the same class (RFC 3463), and a text.
func CheckReply(text string) error {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) < 3 {
		return fmt.Errorf("invalid SMTP reply %q: it needs a code, an enhanced status code and a text", text)
	}
	code, err := strconv.Atoi(parts[0])
	if err != nil || code < 400 || code > 599 {
		return fmt.Errorf("invalid reply code %q: must be 400 to 599", parts[0])
	}
	if len(parts[1]) < 5 || parts[1][0] != parts[0][0] || strings.Count(parts[1], ".") != 2 {
		return fmt.Errorf("invalid enhanced status code %q: must be of class %c, such as %[2]c.7.0", parts[1], parts[0][0])
	}
	if len(text) > 500 || strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) >= 0 {
		return fmt.Errorf("reply must be printable ASCII, at most 500 characters")
	}
	return nil
}
