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

	"github.com/sirupsen/logrus"
)

// ServeConn returns a handler of single connections that serves h, so that HTTP connections count against the same cap
// as those of every other protocol. stop ends all of them.
func ServeConn(h http.Handler, log *logrus.Logger) (handle func(context.Context, net.Conn), stop func()) {
	queue := &connQueue{conns: make(chan net.Conn), closed: make(chan struct{})}
	var open sync.Map // net.Conn to a chan struct{} that is closed with it
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          stdlog.New(io.Discard, "", 0), // net/http reports each client that breaks off
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				if done, ok := open.LoadAndDelete(c); ok {
					close(done.(chan struct{}))
				}
			}
		},
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		if err := server.Serve(queue); !errors.Is(err, http.ErrServerClosed) {
			log.WithError(err).Error("HTTP server failed")
		}
	}()
	handle = func(_ context.Context, c net.Conn) {
		done := make(chan struct{})
		open.Store(quietConn{c}, done)
		select {
		case queue.conns <- quietConn{c}:
			<-done
		case <-queue.closed:
		}
	}
	return handle, func() { server.Close(); <-finished }
}

// quietConn reports a closed connection as EOF: net/http answers any other error with "400 Bad Request", also on an
// idle connection that the server closes to make room.
type quietConn struct{ net.Conn }

func (c quietConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, net.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// connQueue is a net.Listener of connections that package server accepted.
type connQueue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr returns no real address: each connection has its own.
func (q *connQueue) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }
