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

// conn is a connection that knows since when it has been waiting for its client, that can be told to leave, and whose writes
// end.
//
// It costs a Read one look at the clock and two atomic stores, and no lock: the server has to learn who is idle only
// when it needs a place, so all the work of finding out is left for then. A Write looks at no clock at all.
type conn struct {
	net.Conn

	zero  time.Time    // what heard counts from; the same for all connections of a server
	heard atomic.Int64 // when the client was last heard of, in nanoseconds: positive while we wait for it, negative while we do not
	until atomic.Pointer[time.Time]

	writeTimeout time.Duration // 0: the handler sees to it
	armed        int64         // when the write deadline was set

	ctx    context.Context // the handler's
	cancel context.CancelFunc
	owner  *sync.WaitGroup // tells the connections of one Serve from those of another
	cutter *time.Timer     // under the server's lock; not nil once the connection was told to leave
}

// NetConn returns the connection underneath, for CloseWrite and the like. What is read from it directly goes unnoticed.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Read(p []byte) (int, error) {
	if at := c.heard.Load(); at < 0 {
		c.heard.Store(-at)
	}
	n, err := c.Conn.Read(p)
	c.heard.Store(-c.now())
	if err != nil && c.until.Load() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed // the end was our doing: the handler must not blame it on the client, or try again
	}
	return n, err
}

// Write sets a deadline, if the server has one for writes. It counts from the last Read, which an answer follows closely, and
// is renewed at most once a second, since setting it costs as much as an answer.
func (c *conn) Write(p []byte) (int, error) {
	if c.writeTimeout > 0 {
		heard := c.heard.Load()
		if at := max(heard, -heard); c.armed == 0 || at-c.armed > int64(time.Second) {
			now := c.now()
			if err := c.Conn.SetWriteDeadline(c.zero.Add(time.Duration(now) + c.writeTimeout)); err != nil {
				return 0, err
			}
			c.armed = now
		}
	}
	return c.Conn.Write(p)
}

// now is never zero, so that its sign can say something.
func (c *conn) now() int64 { return int64(time.Since(c.zero)) + 1 }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetDeadline(t), c.clamp(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return errors.Join(c.Conn.SetReadDeadline(t), c.clamp(t))
}

// clamp takes back a read deadline later than the time this connection has left. It looks only after the deadline was set:
// whichever of leave and the handler comes second, the connection ends.
func (c *conn) clamp(t time.Time) error {
	until := c.until.Load()
	if until == nil || !t.IsZero() && t.Before(*until) {
		return nil
	}
	return c.Conn.SetReadDeadline(*until)
}

// startDrain lets every Read fail from until on, now and in future. A request that has been read can still be answered.
func (c *conn) startDrain(until time.Time) {
	c.until.Store(&until)
	_ = c.Conn.SetReadDeadline(until) // fails only if the connection is closed already
}

// cut ends the connection, whatever it is doing.
func (c *conn) cut() {
	c.Conn.Close() // first, or whether a late answer still gets out would be a matter of luck
	c.cancel()
}
