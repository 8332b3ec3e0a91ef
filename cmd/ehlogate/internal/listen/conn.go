package listen

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection that knows since when it has been waiting for its client, and that can be told to leave.
//
// It costs a Read one look at the clock and two atomic stores, and no lock: the server has to learn who is idle only
// when it needs a place, so all the work of finding out is left for then.
type conn struct {
	net.Conn

	zero  time.Time    // what read counts from; the same for all connections of a server
	read  atomic.Int64 // when the last Read began, in nanoseconds: positive while it waits, negative once it has returned
	until atomic.Pointer[time.Time]

	ctx    context.Context // the handler's
	cancel context.CancelFunc
	owner  *sync.WaitGroup // tells the connections of one Serve from those of another
	cutter *time.Timer     // under the server's lock; not nil once the connection was told to leave
}

// NetConn returns the connection underneath, for CloseWrite and the like. What is read from it directly goes unnoticed.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Read(p []byte) (int, error) {
	now := c.now()
	c.read.Store(now)
	n, err := c.Conn.Read(p)
	c.read.Store(-now)
	if err != nil && c.until.Load() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed // the end was our doing: the handler must not blame it on the client, or try again
	}
	return n, err
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

// leave lets every Read fail from until on, now and in future. A request that has been read can still be answered.
func (c *conn) leave(until time.Time) {
	c.until.Store(&until)
	_ = c.Conn.SetReadDeadline(until) // fails only if the connection is closed already
}

// cut ends the connection, whatever it is doing.
func (c *conn) cut() {
	c.Conn.Close() // first, or whether a late answer still gets out would be a matter of luck
	c.cancel()
}
