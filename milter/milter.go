// Package milter is the milter front end, over go-milter, for Postfix 2.5 and
// Sendmail 8.14 and later (libmilter's mfdef.h).
//
// A milter cannot change what EHLO says. This one reports what was decided
// about the client's address, refuses mail that comes without TLS from clients
// that must use it, notices suppressed clients that use TLS all the same, and
// puts a header on mail if it is told to. Anything it does not understand is
// answered by "continue".
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
)

// Header is the name of the header that tells later programs of the decision.
const Header = "X-ehlogate"

// Decider answers for one client; see lists.Policy.Decide.
type Decider interface {
	Decide(ctx context.Context, c lists.Client) lists.Decision
}

// Options is what may change while the milter serves.
type Options struct {
	// RequireReply is the SMTP reply to MAIL without TLS from a client that
	// must use it, such as "450 4.7.0 TLS required".
	RequireReply string
	// AddHeader: put Header on mail; a sender's own is removed.
	AddHeader bool
}

// Server serves milter connections.
type Server struct {
	Decider Decider
	// Options gives the settings for a decision; for the zero Decision the
	// present ones. AddHeader is that of the begin of the connection.
	Options func(d lists.Decision) Options
	// Outcome is called for every outcome but an ordinary offer, once in an SMTP
	// session.
	Outcome func(o lists.Outcome, c lists.Client, d lists.Decision)
	// Fault notes a broken frame by its reason, see frames, or FaultMacros.
	Fault func(reason string)
}

// FaultMacros is the reason for Server.Fault if a client that must use TLS sends
// mail, and the mail server does not say whether TLS is in use.
const FaultMacros = "macros"

// macros are those that the mail server is asked for, in place of those that it
// sends by default: {tls_version} at HELO only, where it misses clients that do
// not greet again behind STARTTLS, and {daemon_port} never. Postfix and Sendmail
// keep such a list for each milter by itself, and know all of these.
//
// {client_port} is known of every client, and sent at MAIL by no mail server of
// its own accord. So where it stands, the list is in force; then TLS is in use if
// and only if {tls_version} stands beside it. Neither server sends an empty one.
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

// maxVersion is the version of the protocol to which lists of macros belong.
const maxVersion = 6

// Serve answers on one connection until it ends. conn is closed then.
func (s *Server) Serve(ctx context.Context, conn net.Conn) {
	f := &packetConn{Conn: conn, fault: s.Fault}
	sess := &session{server: s, ctx: ctx, packets: f, cfg: s.Options(lists.Decision{})}
	if err := sess.negotiate(); err != nil {
		conn.Close()
		return
	}
	once := &oneConn{conn: f, closed: make(chan struct{})}
	// go-milter starts anew with NewMilter after every final reply, in the
	// middle of a connection. What we know of the client has to stay.
	srv := &milter.Server{NewMilter: func() milter.Milter { return sess }}
	_ = srv.Serve(once) // ends when the connection has been handed out
	<-once.closed
}

const headerActions = milter.OptAddHeader | milter.OptChangeHeader

// negotiate asks the mail server for what it offers, and no more: it hangs up on
// a milter that asks for anything else.
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
	var lists []byte
	if s.listed = actions&milter.OptSetSymList != 0; s.listed {
		lists = macros
	}
	s.packets.replaceOffer(min(version, maxVersion), actions, skip&skips, lists)
	return nil
}

// session is one SMTP session. Its calls come one at a time.
type session struct {
	milter.NoOpMilter
	server *Server
	ctx    context.Context
	packets *packetConn
	cfg    Options
	listed bool // the mail server takes a list of macros

	known    facts
	client   lists.Client
	atEHLO   lists.Decision
	ownHeaders      int // headers named Header in the message
	reported [lists.OutcomeCount]bool
}

// facts are what macros say about a session. Each stage has its own macros; what
// one says holds for the stages behind it.
type facts struct {
	verified   bool // the name belongs to the address
	encrypted  bool
	macrosListed     bool // the mail server follows the list of macros
	login      bool
	submission bool // by the port
}

// note reads the macros of a stage.
func (f *facts) readMacros(m *milter.Modifier) {
	for name, value := range m.Macros {
		if n := len(name); n > 2 && name[0] == '{' && name[n-1] == '}' { // or without, if it is one letter
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
			f.encrypted = f.encrypted || is
		case "auth_type", "auth_authen":
			f.login = f.login || is
		}
	}
}

// maxName is how many bytes are kept of a name, RFC 5321 section 4.5.3.1.2.
const maxName = 255

// nameOf is a name to keep. One that is too long loses its begin, since lists
// have names below others.
func boundName(s string) string {
	s = lists.NormalizeName(s)
	return strings.Clone(s[max(0, len(s)-maxName):])
}

// Connect takes the address and the name of the client. go-milter does not parse
// IPv6 addresses as Sendmail spells them, so the address is read from the packet.
func (s *session) Connect(host, _ string, _ uint16, _ net.IP, m *milter.Modifier) (milter.Response, error) {
	s.known, s.reported, s.ownHeaders = facts{}, [lists.OutcomeCount]bool{}, 0
	s.known.readMacros(m)
	s.client = lists.Client{Addr: s.packets.clientAddr()}
	// Postfix passes a verified name or an address in brackets. Sendmail passes
	// any name that reverse DNS has.
	if name := boundName(host); s.known.verified && !strings.HasPrefix(name, "[") {
		s.client.Name = name
	}
	s.atEHLO = s.server.Decider.Decide(s.ctx, lists.Client{Addr: s.client.Addr})
	return milter.RespContinue, nil
}

// Helo may come again, above all after STARTTLS.
func (s *session) Helo(name string, m *milter.Modifier) (milter.Response, error) {
	s.known.readMacros(m)
	s.client.HELO = boundName(name)
	s.judge(false)
	return milter.RespContinue, nil
}

// MailFrom refuses mail without TLS from clients that must use it.
func (s *session) MailFrom(_ string, m *milter.Modifier) (milter.Response, error) {
	s.known.macrosListed = false // also if it stood at an earlier stage
	s.known.readMacros(m)
	s.ownHeaders = 0
	if s.judge(true) == lists.OutcomeRequireUnmet {
		return newReply(s.server.Options(s.atEHLO).RequireReply), nil
	}
	return milter.RespContinue, nil
}

// Header counts a sender's own headers of our name.
func (s *session) Header(name, _ string, m *milter.Modifier) (milter.Response, error) {
	clear(m.Headers) // go-milter gathers them, of one message after the other, for a reply that we do not give
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
	// From the last to the first: each that goes renumbers those behind it.
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

// Abort ends a message and not the session.
func (s *session) Abort(*milter.Modifier) error {
	s.ownHeaders = 0
	return nil
}

// outcome judges the session, and reports each outcome once.
func (s *session) judge(mail bool) lists.Outcome {
	full := s.atEHLO
	if full.Action == lists.Require {
		full = s.server.Decider.Decide(s.ctx, s.client)
	}
	sure := s.known.encrypted || s.listed && s.known.macrosListed
	if mail && full.Action == lists.Require && !sure {
		s.server.Fault(FaultMacros)
	}
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

func (s *session) headerValue() string {
	v := "starttls=" + s.atEHLO.Action.String()
	if s.atEHLO.List != nil {
		v += "; list=" + s.atEHLO.List.Name
	}
	if e := s.atEHLO.Entry(); e.Text != "" {
		v += "; entry=" + e.Text
	}
	return v
}

// reply makes an SMTP reply of its text.
func newReply(text string) milter.Response {
	// A bare % would be read by Sendmail as the begin of a format.
	return milter.NewResponseStr('y', strings.ReplaceAll(text, "%", "%%"))
}

// CheckReply says what is wrong with a text for Config.RequireReply: it is a
// code 4xx or 5xx, an enhanced code of the same class (RFC 3463) and a text.
func CheckReply(text string) error {
	parts := strings.SplitN(text, " ", 3)
	if len(parts) < 3 {
		return fmt.Errorf("%q is no SMTP reply", text)
	}
	code, err := strconv.Atoi(parts[0])
	if err != nil || code < 400 || code > 599 {
		return fmt.Errorf("%q is no code of a refusal, 400 to 599", parts[0])
	}
	if len(parts[1]) < 5 || parts[1][0] != parts[0][0] || strings.Count(parts[1], ".") != 2 {
		return fmt.Errorf("%q is no enhanced code of the class %c", parts[1], parts[0][0])
	}
	if len(text) > 500 || strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) }) >= 0 {
		return fmt.Errorf("the text of a reply is printable ASCII, at most 500 characters")
	}
	return nil
}

var _ milter.Milter = (*session)(nil)
