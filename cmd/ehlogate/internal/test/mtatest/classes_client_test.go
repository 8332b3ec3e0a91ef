package mtatest_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// act is something that a client does in a session. An error means that it could not be done, and not that TLS failed.
type act func(c *mtatest.SMTP) error

// expect returns an act that sends a command and wants a reply.
func expect(code int, command string) act {
	return func(c *mtatest.SMTP) error {
		r, err := c.Command(command)
		if err == nil && r.Code != code {
			err = fmt.Errorf("%s: got %v, want %d", command, r, code)
		}
		return err
	}
}

// The acts of an ordinary client.
var (
	banner   = expect(220, "")
	sayEHLO  = expect(250, "EHLO client.example")
	starttls = expect(220, "STARTTLS")
	quit     = expect(221, "QUIT")
)

// saysCommand returns an act that sends a command and takes any reply.
func saysCommand(command string) act {
	return func(c *mtatest.SMTP) error {
		_, err := c.Command(command)
		return err
	}
}

// handshakes returns an act that makes a whole handshake.
func handshakes(edit func(config *tls.Config)) act {
	return func(c *mtatest.SMTP) error {
		_, err := c.HandshakeWith(clientConfig(edit))
		return err
	}
}

// mayHandshake returns an act that makes a handshake, and goes on if the server takes it.
func mayHandshake(edit func(config *tls.Config), then ...act) act {
	return func(c *mtatest.SMTP) error {
		if _, err := c.HandshakeWith(clientConfig(edit)); err != nil {
			return nil
		}
		for _, do := range then {
			if err := do(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// triesHandshake returns an act that begins a handshake, which is to fail.
func triesHandshake(edit func(config *tls.Config)) act {
	return func(c *mtatest.SMTP) error {
		if _, err := c.HandshakeWith(clientConfig(edit)); err == nil {
			return errors.New("the handshake was completed")
		}
		return nil
	}
}

func clientConfig(edit func(config *tls.Config)) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "mx.mta.test"}
	if edit != nil {
		edit(config)
	}
	return config
}

// onlyVersion returns a change of a configuration to one version.
func onlyVersion(version uint16) func(config *tls.Config) {
	return func(config *tls.Config) { config.MinVersion, config.MaxVersion = version, version }
}

// beside returns an act that goes on while another client is within its handshake.
func beside(acts ...act) act {
	return func(c *mtatest.SMTP) error {
		other, err := mtatest.Dial(context.Background(), c.Conn().RemoteAddr().String(), "127.99.0.1")
		if err != nil {
			return err
		}
		defer other.Close()
		for _, do := range afterSTARTTLS(sends(clientHello{}.bytes()), awaitsFlight) {
			if err := do(other); err != nil {
				return fmt.Errorf("the other client: %w", err)
			}
		}
		for _, do := range acts {
			if err := do(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// delivers is an act that hands over a message, which is taken, but by postscreen.
func delivers(c *mtatest.SMTP) error {
	r, err := c.Deliver("a@client.example", "b@mta.test", "Subject: x\n\nhello\n")
	if err == nil && r.Code != 250 && r.Code != 450 {
		err = fmt.Errorf("the message: %v", r)
	}
	return err
}

// isRefused is an act in which no recipient is taken.
func isRefused(c *mtatest.SMTP) error {
	r, err := c.Deliver("a@client.example", "b@elsewhere.example", "Subject: x\n\nhello\n")
	if err == nil && r.Code/100 != 5 && r.Code/100 != 4 {
		err = fmt.Errorf("RCPT to another domain: %v", r)
	}
	return err
}

// sends returns an act that writes bytes.
func sends(b []byte) act {
	return func(c *mtatest.SMTP) error {
		_, err := c.Conn().Write(b)
		return err
	}
}

// resets is an act that ends the connection by a TCP reset.
func resets(c *mtatest.SMTP) error {
	if err := c.Conn().SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

// hangsUp is an act that ends the connection, and not by a reset because something was left unread.
func hangsUp(c *mtatest.SMTP) error {
	if err := c.Conn().CloseWrite(); err != nil {
		return err
	}
	return awaitsEnd(c)
}

// awaitsFlight is an act that reads what the server answers to a ClientHello, up to ServerHelloDone or, in TLS 1.3, the
// first record of the application.
func awaitsFlight(c *mtatest.SMTP) error {
	for {
		kind, body, err := readRecord(c)
		switch {
		case err != nil:
			return fmt.Errorf("no ServerHello: %w", err)
		case kind == recordAlert:
			return fmt.Errorf("alert %v instead of ServerHello", body)
		case kind == recordData, kind == recordHandshake && len(body) >= 4 && string(body[len(body)-4:]) == "\x0e\x00\x00\x00":
			return nil
		}
	}
}

func readRecord(c *mtatest.SMTP) (kind byte, body []byte, err error) {
	if err := c.Conn().SetReadDeadline(time.Now().Add(mtatest.StepTimeout)); err != nil {
		return 0, nil, err
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(c.Conn(), head); err != nil {
		return 0, nil, err
	}
	body = make([]byte, binary.BigEndian.Uint16(head[3:]))
	_, err = io.ReadFull(c.Conn(), body)
	return head[0], body, err
}

// waits returns an act that reads until the server ends the connection, or says nothing for so long.
func waits(patience time.Duration) act {
	return func(c *mtatest.SMTP) error {
		for {
			if err := c.Conn().SetReadDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			if _, err := c.Conn().Read(make([]byte, 4096)); err != nil {
				return nil // a reset is an end too
			}
		}
	}
}

// awaitsEnd waits for what the server has to say to something that it does not take. Some say nothing, and wait.
var awaitsEnd = waits(time.Second)

// spoiler is a connection that changes what the client writes.
type spoiler struct {
	net.Conn
	spoil func(record []byte) []byte // one record as a whole, or several
}

func (s spoiler) Write(b []byte) (int, error) {
	if _, err := s.Conn.Write(s.spoil(append([]byte(nil), b...))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// triesOver returns an act that begins a handshake of one version whose records are spoiled, so that it fails.
func triesOver(version uint16, spoil func(record []byte) []byte) act {
	return func(c *mtatest.SMTP) error {
		_, err := c.HandshakeOver(spoiler{c.Conn(), spoil}, clientConfig(onlyVersion(version)))
		if err == nil { // in TLS 1.3 a client is done before the server is
			return awaitsEnd(c)
		}
		return nil
	}
}
