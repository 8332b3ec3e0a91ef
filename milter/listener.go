package milter

import (
	"net"
	"sync"
)

// oneConn is a listener with one connection, which package server accepted, and that connection.
type oneConn struct {
	net.Conn
	accepted bool
	closed   chan struct{}
	once     sync.Once
}

// Accept returns the connection, and the second time waits until it is closed.
func (c *oneConn) Accept() (net.Conn, error) {
	if c.accepted {
		<-c.closed
		return nil, net.ErrClosed
	}
	c.accepted = true
	return c, nil
}

func (c *oneConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *oneConn) Addr() net.Addr { return c.LocalAddr() }
