// Package milter is the milter front end, over go-milter, for Postfix and
// Sendmail (protocol version 2, libmilter's mfdef.h).
//
// A milter cannot change what EHLO says. This one reports what was decided
// about the client's address, refuses mail that comes without TLS from clients
// that must use it, notices suppressed clients that use TLS all the same, and
// puts a header on mail if it is told to. Anything it does not understand is
// answered by "continue".
package milter

import (
	"context"
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

// Config is what may change while the milter serves.
type Config struct {
	// RequireReply is the SMTP reply to MAIL without TLS from a client that
	// must use it, such as "450 4.7.0 TLS required".
	RequireReply string
	// AddHeader: put Header on mail; a sender's own is removed.
	AddHeader bool
}

// Server serves milter connections.
type Server struct {
	Decider Decider
	Config  func() Config
	// Outcome is told of every outcome but an ordinary offer, once a session
	// and outcome.
	Outcome func(o lists.Outcome, c lists.Client, d lists.Decision)
	// Fault notes a broken frame by its reason; see frames.
	Fault func(reason string)
}

// Serve answers on one connection until it ends. conn is closed then.
func (s *Server) Serve(ctx context.Context, conn net.Conn) {
	cfg := s.Config()
	sess := &session{server: s, ctx: ctx, cfg: cfg}
	skip := milter.OptNoRcptTo | milter.OptNoBody | milter.OptNoEOH
	var actions milter.OptAction
	if cfg.AddHeader {
		actions = milter.OptAddHeader | milter.OptChangeHeader
	} else {
		skip |= milter.OptNoHeaders
	}
	once := &oneConn{conn: &frames{Conn: conn, fault: s.Fault}, closed: make(chan struct{})}
	// go-milter starts anew with NewMilter after every final reply, in the
	// middle of a connection. What we know of the client has to stay.
	srv := &milter.Server{NewMilter: func() milter.Milter { return sess }, Actions: actions, Protocol: skip}
	_ = srv.Serve(once) // ends when the connection has been handed out
	<-once.closed
}

// session is one SMTP session. Its calls come one at a time.
type session struct {
	milter.NoOpMilter
	server *Server
	ctx    context.Context
	cfg    Config

	macros [macroCount]string // the last of each, as far as it concerns us; a packet has only those of its stage
	client lists.Client
	atEHLO lists.Decision
	own    int // headers named Header in the message
	told   [lists.OutcomeCount]bool
}

// macro is one of those that concern us.
type macro int

const (
	clientAddr macro = iota
	clientAndName
	clientResolve
	daemonPort
	tlsVersion
	authType
	authAuthen
	macroCount
)

// macroOf takes a name as it is sent, with braces or without.
func macroOf(name string) (macro, bool) {
	if n := len(name); n > 2 && name[0] == '{' && name[n-1] == '}' {
		name = name[1 : n-1]
	}
	switch name {
	case "client_addr":
		return clientAddr, true
	case "_":
		return clientAndName, true
	case "client_resolve":
		return clientResolve, true
	case "daemon_port":
		return daemonPort, true
	case "tls_version":
		return tlsVersion, true
	case "auth_type":
		return authType, true
	case "auth_authen":
		return authAuthen, true
	}
	return 0, false
}

// note keeps what concerns us in copies: a part of a packet's text would keep
// the whole of it.
func (s *session) note(m *milter.Modifier) {
	for name, value := range m.Macros {
		if k, ok := macroOf(name); ok {
			if k == clientAndName {
				value = value[strings.LastIndexByte(value, '[')+1:] // what stands before it may be the client's word
				value, _, _ = strings.Cut(value, "]")
			}
			s.macros[k] = strings.Clone(value[:min(len(value), maxMacro)])
		}
	}
}

const (
	maxMacro = 64  // bytes kept of one; those that concern us are addresses and single words
	maxName  = 255 // bytes kept of a name, RFC 5321 section 4.5.3.1.2
)

// nameOf is a name to keep. One that is too long loses its begin, since lists
// have names below others.
func nameOf(s string) string {
	s = lists.NormalName(s)
	return strings.Clone(s[max(0, len(s)-maxName):])
}

// Connect learns who the client is. Sendmail gives IPv6 addresses in a form
// that go-milter does not read; they stand in macros too: in {client_addr} if
// sendmail.cf sends it, and behind the name in _, which is sent by default.
func (s *session) Connect(host, _ string, _ uint16, addr net.IP, m *milter.Modifier) (milter.Response, error) {
	s.note(m)
	s.client = lists.Client{}
	for _, text := range []string{addr.String(), s.macros[clientAddr], s.macros[clientAndName]} {
		if a, err := lists.ParseAddr(text); err == nil {
			s.client.Addr = a
			break
		}
	}
	// Postfix passes a verified name or "unknown". Sendmail passes an address
	// in brackets or a name, and says in a macro whether it is verified.
	resolved := s.macros[clientResolve]
	if name := nameOf(host); name != "unknown" && !strings.HasPrefix(name, "[") && (resolved == "" || resolved == "OK") {
		s.client.Name = name
	}
	s.atEHLO = s.server.Decider.Decide(s.ctx, lists.Client{Addr: s.client.Addr})
	return milter.RespContinue, nil
}

// Helo comes again after STARTTLS, with the macros of TLS.
func (s *session) Helo(name string, m *milter.Modifier) (milter.Response, error) {
	s.note(m)
	s.client.HELO = nameOf(name)
	s.outcome(false)
	return milter.RespContinue, nil
}

// MailFrom refuses mail without TLS from clients that must use it.
func (s *session) MailFrom(_ string, m *milter.Modifier) (milter.Response, error) {
	s.note(m)
	s.own = 0
	if s.outcome(true) == lists.OutcomeRequireUnmet {
		return reply(s.cfg.RequireReply), nil
	}
	return milter.RespContinue, nil
}

// Header counts a sender's own headers of our name.
func (s *session) Header(name, _ string, m *milter.Modifier) (milter.Response, error) {
	clear(m.Headers) // go-milter gathers them, of one message after the other, for a reply that we do not give
	if strings.EqualFold(name, Header) {
		s.own++
	}
	return milter.RespContinue, nil
}

// Body is the end of a message.
func (s *session) Body(m *milter.Modifier) (milter.Response, error) {
	if !s.cfg.AddHeader {
		return milter.RespContinue, nil
	}
	// From the last to the first: each that goes renumbers those behind it.
	for i := s.own; i > 0; i-- {
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
	s.own = 0
	return nil
}

// outcome judges the session and tells of what it finds, once.
func (s *session) outcome(mail bool) lists.Outcome {
	full := s.atEHLO
	if full.Action == lists.Require {
		full = s.server.Decider.Decide(s.ctx, s.client)
	}
	port := s.macros[daemonPort]
	o := lists.OutcomeOf(lists.Session{
		AtEHLO: s.atEHLO.Action, Full: full.Action, Mail: mail,
		Encrypted:  s.macros[tlsVersion] != "",
		Submission: port == "587" || port == "465" || s.macros[authType] != "" || s.macros[authAuthen] != "",
	})
	if o != lists.OutcomeOffered && !s.told[o] {
		s.told[o] = true
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
func reply(text string) milter.Response {
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
