package httpapi

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"ehlogate/milter/oneconn"
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
		_ = server.Serve(oneconn.New(httpConn{c})) // returns when the connection is closed
	}
	return handle, func() { server.Close() }
}

// httpConn is a connection for net/http.
type httpConn struct{ net.Conn }

// Read reports a closed connection as EOF: net/http answers any other error with "400 Bad Request", also on an idle
// connection that the server closes to make room.
func (c httpConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}
