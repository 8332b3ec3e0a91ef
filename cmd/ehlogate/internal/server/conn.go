package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection that records since when it has been idle, that can be drained, and whose writes have a timeout.
//
// A Read costs it one look at the clock and two atomic stores, and no lock: the server searches for idle connections only
// when it needs room. A Write rarely reads the clock.
type conn struct {
	net.Conn

	epoch      time.Time                 // lastRead counts from here; the same for all connections of a server
	lastRead   atomic.Int64              // when Read last returned, in nanoseconds; positive while the handler waits in Read (idle), else negative
	drainUntil atomic.Pointer[time.Time] // no Read after this time; nil: not draining

	writeTimeout time.Duration // 0: the handler sets deadlines itself
	deadlineSet  int64         // when the write deadline was last set

	ctx        context.Context // of the handler
	cancel     context.CancelFunc
	group      *sync.WaitGroup // of the Serve that accepted the connection
	closeTimer *time.Timer     // not nil: draining. Guarded by the server's lock.
}

func (c *conn) Read(p []byte) (int, error) {
	if at := c.lastRead.Load(); at < 0 {
		c.lastRead.Store(-at)
	}
	n, err := c.Conn.Read(p)
	c.lastRead.Store(-c.elapsed())
	if err != nil && c.drainUntil.Load() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed // the server ended it: the handler must not report a timeout of the client, or try again
	}
	return n, err
}

// Write sets a deadline if the server has a WriteTimeout. The deadline counts from the last Read, which a reply follows
// closely, and is renewed at most once a second, since setting it costs as much as a reply.
func (c *conn) Write(p []byte) (int, error) {
	if c.writeTimeout > 0 {
		lastRead := c.lastRead.Load()
		if at := max(lastRead, -lastRead); c.deadlineSet == 0 || at-c.deadlineSet > int64(time.Second) {
			now := c.elapsed()
			if err := c.Conn.SetWriteDeadline(c.epoch.Add(time.Duration(now) + c.writeTimeout)); err != nil {
				return 0, err
			}
			c.deadlineSet = now
		}
	}
	return c.Conn.Write(p)
}

// elapsed returns the time since the epoch in nanoseconds, at least 1: the sign of lastRead has a meaning.
func (c *conn) elapsed() int64 { return int64(time.Since(c.epoch)) + 1 }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetDeadline(t), c.clampDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetReadDeadline(t), c.clampDeadline(t))
}

// clampDeadline undoes a read deadline t that is later than drainUntil. It checks only after the deadline was set, so the
// connection ends whether startDrain or the handler comes second.
func (c *conn) clampDeadline(t time.Time) error {
	until := c.drainUntil.Load()
	if until == nil || !t.IsZero() && t.Before(*until) {
		return nil
	}
	return c.Conn.SetReadDeadline(*until)
}

// startDrain makes every Read fail from until on. A request that was read before is still answered.
func (c *conn) startDrain(until time.Time) {
	c.drainUntil.Store(&until)
	_ = c.Conn.SetReadDeadline(until) // fails only if the connection is closed already
}

// closeNow closes the connection, whatever the handler is doing.
func (c *conn) closeNow() {
	c.Conn.Close() // first, so that a late reply never gets out
	c.cancel()
}
