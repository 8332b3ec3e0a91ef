package server

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

// Backoff after a failed Accept: the first time, and at most. Postfix waits for a new connection for one second.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = 100 * time.Millisecond
)

// acceptAll starts a handler for each connection until ln is closed. It goes on after every other error: a shortage of
// resources passes, and a server that gave up would answer no client.
func (s *Server) acceptAll(ctx context.Context, ln net.Listener, wg *sync.WaitGroup) error {
	backoff := minBackoff
	for {
		nc, err := ln.Accept()
		if err == nil {
			backoff = minBackoff
			s.startConn(ctx, nc, wg)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return err
		}
		s.OnFault("accept")
		s.logs.accept.Warn(s.Log, "cannot accept connections; trying again", func() logrus.Fields { return logrus.Fields{"error": err} })
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			// A closed connection frees a file descriptor. Accept needs one even to find that no connection waits.
			s.evictIdle()
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

func (s *Server) startConn(ctx context.Context, nc net.Conn, wg *sync.WaitGroup) {
	c := &conn{Conn: nc, epoch: s.epoch, group: wg, writeTimeout: s.WriteTimeout}
	c.lastRead.Store(-c.elapsed())
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if !s.admit(c) {
		c.closeNow()
		return
	}
	wg.Go(func() { s.handle(c) })
}
