package milter

import (
	"net"
	"sync"
)

// oneConn is a listener with one connection, which package server accepted.
type oneConn struct {
	conn   net.Conn
	taken  bool
	once   sync.Once
	closed chan struct{} // closed with the connection
}

func (o *oneConn) Accept() (net.Conn, error) {
	if o.taken {
		return nil, net.ErrClosed
	}
	o.taken = true
	return notifyClose{o.conn, o}, nil
}

func (o *oneConn) Close() error   { return nil }
func (o *oneConn) Addr() net.Addr { return o.conn.LocalAddr() }

// notifyClose closes oneConn.closed with the connection.
type notifyClose struct {
	net.Conn
	o *oneConn
}

func (c notifyClose) Close() error {
	err := c.Conn.Close()
	c.o.once.Do(func() { close(c.o.closed) })
	return err
}
