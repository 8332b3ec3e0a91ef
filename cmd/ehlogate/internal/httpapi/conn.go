package httpapi

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServeConn returns a handler of single connections that serves h, so that HTTP connections count against the same cap
// as those of every other protocol. stop ends all of them.
func ServeConn(h http.Handler) (handle func(context.Context, net.Conn), stop func()) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          stdlog.New(io.Discard, "", 0), // net/http reports each client that breaks off
	}
	handle = func(_ context.Context, c net.Conn) {
		l := &oneConn{Conn: c, closed: make(chan struct{})}
		_ = server.Serve(l) // returns when the connection is closed
	}
	return handle, func() { server.Close() }
}

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

// Addr is that of the listener, for net/http.
func (c *oneConn) Addr() net.Addr { return c.LocalAddr() }

// Read reports a closed connection as EOF: net/http answers any other error with "400 Bad Request", also on an idle
// connection that the server closes to make room.
func (c *oneConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}
