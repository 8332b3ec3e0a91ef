package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// How long to wait after Accept failed: the first time, and at most. Postfix waits
// for a new connection for one second.
const (
	minPause = 5 * time.Millisecond
	maxPause = 100 * time.Millisecond
)

// acceptAll starts a handler for each connection until ln is closed. No other failure ends it: a shortage passes, and a
// server that has given up answers nobody.
func (s *Server) acceptAll(ctx context.Context, ln net.Listener, wg *sync.WaitGroup) error {
	pause := minPause
	for {
		nc, err := ln.Accept()
		if err == nil {
			pause = minPause
			s.start(ctx, nc, wg)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return err
		}
		s.OnFault("accept")
		s.trouble.accept.Warn(s.Log.WithError(err), "cannot accept connections, trying again")
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			// Whoever leaves gives up a file descriptor. Accept needs one even to find that nobody is waiting, so this
			// keeps one in reserve.
			s.evictIdle()
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

func (s *Server) start(ctx context.Context, nc net.Conn, wg *sync.WaitGroup) {
	c := &conn{Conn: nc, zero: s.zero, owner: wg, writeTimeout: s.WriteTimeout}
	c.heard.Store(-c.now())
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if !s.admit(c) {
		c.cut()
		return
	}
	wg.Go(func() { s.handle(c) })
}
