// Package oneconn lets a server of a library, which takes listeners only, serve a connection that was accepted before.
package oneconn

import (
	"net"
	"sync"
)

// Listener is a listener with one connection, and that connection.
type Listener struct {
	net.Conn
	accepted bool
	closed   chan struct{}
	once     sync.Once
}

// New returns a listener with a connection.
func New(c net.Conn) *Listener { return &Listener{Conn: c, closed: make(chan struct{})} }

// Accept returns the connection, and the second time waits until it is closed.
func (c *Listener) Accept() (net.Conn, error) {
	if c.accepted {
		<-c.closed
		return nil, net.ErrClosed
	}
	c.accepted = true
	return c, nil
}

// Close closes the connection and ends Accept.
func (c *Listener) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Addr is that of the listener of the connection.
func (c *Listener) Addr() net.Addr { return c.LocalAddr() }
