package mtatest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"syscall"
	"time"
)

// StepTimeout is how long an SMTP client waits for any one reply, unless its Timeout says otherwise.
const StepTimeout = 15 * time.Second

// Reply is what a server said: the code, and the text of each line. A code of 0 means that no reply came.
type Reply struct {
	Code int
	Text []string
}

// String is the reply as one line.
func (r Reply) String() string { return fmt.Sprintf("%d %s", r.Code, strings.Join(r.Text, " | ")) }

// Keywords returns what an EHLO reply offers: the first word of every line but the first, in upper case.
func (r Reply) Keywords() []string {
	var words []string
	for _, line := range r.Text[min(1, len(r.Text)):] {
		word, _, _ := strings.Cut(line, " ")
		words = append(words, strings.ToUpper(word))
	}
	return words
}

// Offers reports whether the reply is to EHLO and offers the keyword, in any case.
func (r Reply) Offers(keyword string) bool {
	return r.Code == 250 && slices.Contains(r.Keywords(), strings.ToUpper(keyword))
}

// SMTP is one connection to a mail server. Its methods return every reply, welcome or not: an error means that no reply
// came in time, or none that is SMTP. They are for one goroutine.
type SMTP struct {
	Timeout time.Duration // for each reply

	ctx   context.Context
	raw   net.Conn // the TCP connection
	conn  net.Conn // raw, or TLS over it
	text  *textproto.Conn
	watch func() bool // stops the watch on ctx
}

// Dial connects to a server, host:port, from a chosen source address ("" leaves it to the kernel), or from a chosen port,
// host:port, which is free again as soon as the connection is closed. The connection lives until Close, or the end of the
// context.
func Dial(ctx context.Context, addr, source string) (*SMTP, error) {
	dialer := net.Dialer{Timeout: StepTimeout}
	from, err := netip.ParseAddrPort(source)
	if err != nil && source != "" {
		ip, err := netip.ParseAddr(source)
		if err != nil {
			return nil, fmt.Errorf("source address: %w", err)
		}
		from = netip.AddrPortFrom(ip, 0)
	}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	// The kernel may take a moment to forget the connection before it from the same port.
	for until := time.Now().Add(StepTimeout); from.Port() != 0 && isPortBusy(err) && time.Now().Before(until); {
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		conn, err = dialer.DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting from %q: %w", source, err)
	}
	if from.Port() != 0 {
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil { // else the port has to wait a minute
			conn.Close()
			return nil, fmt.Errorf("connecting from %q: %w", source, err)
		}
	}
	return &SMTP{
		Timeout: StepTimeout,
		ctx:     ctx,
		raw:     conn,
		conn:    conn,
		text:    textproto.NewConn(conn),
		watch:   context.AfterFunc(ctx, func() { conn.Close() }),
	}, nil
}

// isPortBusy reports whether a connection failed because its source port was in use.
func isPortBusy(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// Close drops the connection without a word.
func (c *SMTP) Close() error {
	c.watch()
	return c.raw.Close()
}

// sendCommand sends a command, unless it is empty, and returns the reply.
func (c *SMTP) sendCommand(what, command string) (Reply, error) {
	if command != "" {
		command += "\r\n"
	}
	return c.exchange(what, command)
}

// SendRaw sends text as it is, such as several commands at once, and returns the next reply.
func (c *SMTP) SendRaw(text string) (Reply, error) { return c.exchange("raw text", text) }

func (c *SMTP) exchange(what, text string) (Reply, error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return Reply{}, c.failed(what, err)
	}
	if text != "" {
		if _, err := io.WriteString(c.conn, text); err != nil {
			return Reply{}, c.failed(what, err)
		}
	}
	code, reply, err := c.text.ReadResponse(0)
	if err != nil {
		return Reply{}, c.failed(what, err)
	}
	return Reply{Code: code, Text: strings.Split(reply, "\n")}, nil
}

// failed says at which step the connection failed, and gives the end of the context as the reason where it was the reason.
func (c *SMTP) failed(what string, err error) error {
	if c.ctx.Err() != nil {
		err = errors.Join(context.Cause(c.ctx), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Banner reads the server's greeting.
func (c *SMTP) Banner() (Reply, error) { return c.sendCommand("banner", "") }

// Command sends any one-line command and returns the reply.
func (c *SMTP) Command(line string) (Reply, error) {
	verb, _, _ := strings.Cut(line, " ")
	return c.sendCommand(verb, line)
}

// EHLO greets the server with a name; the reply knows what it offers.
func (c *SMTP) EHLO(name string) (Reply, error) { return c.Command("EHLO " + name) }

// HELO greets the server the old way.
func (c *SMTP) HELO(name string) (Reply, error) { return c.Command("HELO " + name) }

// XCLIENT has the server treat the client as one at another address; IPv6 addresses are written as the server wants them.
// A reply of 220 is a new banner: EHLO comes next.
func (c *SMTP) XCLIENT(client netip.Addr) (Reply, error) {
	addr := client.String()
	if client.Is6() {
		addr = "IPV6:" + addr
	}
	return c.Command("XCLIENT ADDR=" + addr)
}

// STARTTLS asks for TLS and, if the reply is 220, makes the handshake without judging the certificate; EHLO comes next. On
// any other reply, or an error, the returned state says that no handshake was completed.
func (c *SMTP) STARTTLS() (Reply, tls.ConnectionState, error) {
	reply, err := c.Command("STARTTLS")
	if err != nil || reply.Code != 220 {
		return reply, tls.ConnectionState{}, err
	}
	state, err := c.Handshake()
	return reply, state, err
}

// Handshake makes the TLS handshake without judging the certificate. Where TLS comes before SMTP (port 465), it is the first
// step, and the banner comes next.
func (c *SMTP) Handshake() (tls.ConnectionState, error) {
	return c.HandshakeWith(&tls.Config{InsecureSkipVerify: true, ServerName: hostName})
}

// HandshakeAs makes the TLS handshake as a client that speaks this version alone.
func (c *SMTP) HandshakeAs(version uint16) (tls.ConnectionState, error) {
	return c.HandshakeWith(&tls.Config{InsecureSkipVerify: true, ServerName: hostName, MinVersion: version, MaxVersion: version})
}

// HandshakeWith makes the TLS handshake with a configuration.
func (c *SMTP) HandshakeWith(config *tls.Config) (tls.ConnectionState, error) {
	return c.HandshakeOver(c.raw, config)
}

// Conn is the TCP connection, for what is not SMTP.
func (c *SMTP) Conn() *net.TCPConn { return c.raw.(*net.TCPConn) }

// HandshakeOver makes the TLS handshake over a connection that does something with what passes through it.
func (c *SMTP) HandshakeOver(over net.Conn, config *tls.Config) (tls.ConnectionState, error) {
	conn := tls.Client(over, config)
	if err := conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return tls.ConnectionState{}, c.failed("TLS handshake", err)
	}
	if err := conn.HandshakeContext(c.ctx); err != nil {
		return tls.ConnectionState{}, c.failed("TLS handshake", err)
	}
	c.conn, c.text = conn, textproto.NewConn(conn)
	return conn.ConnectionState(), nil
}

// Deliver hands over one message, from MAIL to the end of DATA, and returns the last reply. A refusal ends the attempt and
// is returned like success: a code of 250 alone means that the server took the message.
func (c *SMTP) Deliver(from, to, message string) (Reply, error) {
	for _, step := range []struct {
		command string
		want    int
	}{
		{"MAIL FROM:<" + from + ">", 250},
		{"RCPT TO:<" + to + ">", 250},
		{"DATA", 354},
	} {
		reply, err := c.Command(step.command)
		if err != nil || reply.Code != step.want {
			return reply, err
		}
	}
	w := c.text.DotWriter()
	if _, err := w.Write([]byte(message)); err != nil {
		return Reply{}, c.failed("message", err)
	}
	if err := w.Close(); err != nil {
		return Reply{}, c.failed("message", err)
	}
	return c.sendCommand("end of the message", "")
}

// Quit takes leave and drops the connection.
func (c *SMTP) Quit() (Reply, error) {
	defer c.Close()
	return c.Command("QUIT")
}
