package policyd

import (
	"net"
	"sync"
)

// OneConn is a listener with one connection, which was accepted before, and that connection. It is for servers of
// libraries, which take listeners only.
type OneConn struct {
	net.Conn
	accepted bool
	closed   chan struct{}
	once     sync.Once
}

// NewOneConn returns a listener with a connection.
func NewOneConn(c net.Conn) *OneConn { return &OneConn{Conn: c, closed: make(chan struct{})} }

// Accept returns the connection, and the second time waits until it is closed.
func (c *OneConn) Accept() (net.Conn, error) {
	if c.accepted {
		<-c.closed
		return nil, net.ErrClosed
	}
	c.accepted = true
	return c, nil
}

// Close closes the connection and ends Accept.
func (c *OneConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Addr is that of the listener of the connection.
func (c *OneConn) Addr() net.Addr { return c.LocalAddr() }
