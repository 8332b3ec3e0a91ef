package stresstest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// idleCrowd opens one connection after the other, and closes its own oldest only when it has all that it may.
func idleCrowd(ctx context.Context, t Target) error {
	var mu sync.Mutex
	var crowd []net.Conn
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	every := 16 * time.Second / time.Duration(t.Conns) // all of them in four seconds
	return workers(ctx, 4, every, func(ctx context.Context) error {
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if crowd = append(crowd, c); len(crowd) > t.Conns {
			crowd[0].Close()
			crowd = crowd[1:]
		}
		return nil
	})
}

// trickle sends requests a byte a second, each connection at its own moment.
func trickle(ctx context.Context, t Target) error {
	request := Question(t.Protocol, "192.0.2.66")
	return workers(ctx, min(t.Conns, 300), time.Second, func(ctx context.Context) error {
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		for i := range request {
			if _, err := c.Write(request[i : i+1]); err != nil {
				return nil // it was closed on us
			}
			readUntilClosed(c, time.Second)
		}
		return nil
	})
}

// halfClosed sends a part of a request, says that no more will come, and stays.
func halfClosed(ctx context.Context, t Target) error {
	request := Question(t.Protocol, "192.0.2.66")
	return workers(ctx, min(t.Conns, 100), time.Second, func(ctx context.Context) error {
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		_, _ = c.Write(request[:rand.IntN(len(request))])
		if err := c.(endsWith).closeWrite(); err != nil {
			return nil
		}
		readUntilClosed(c, time.Second)
		return nil
	})
}

func connectAndClose(ctx context.Context, t Target) error {
	return workers(ctx, 4, 8*time.Millisecond, func(ctx context.Context) error { // 500 a second
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func connectAndReset(ctx context.Context, t Target) error {
	request := Question(t.Protocol, "192.0.2.66")
	return workers(ctx, 4, 8*time.Millisecond, func(ctx context.Context) error {
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		_, _ = c.Write(request[:rand.IntN(len(request)+1)])
		return c.(endsWith).reset()
	})
}

// sendAndRead connects, sends something and hears what is said to it.
func (t Target) sendAndRead(ctx context.Context, in []byte, atMost time.Duration) error {
	c, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	go func() { _, _ = c.Write(in) }() // the daemon may hang up, or say more than fits before it reads on
	readUntilClosed(c, atMost)
	return nil
}

func brokenRequests(ctx context.Context, t Target) error {
	all := Broken(t.Protocol)
	return workers(ctx, 20, 100*time.Millisecond, func(ctx context.Context) error {
		return t.sendAndRead(ctx, all[rand.IntN(len(all))], 100*time.Millisecond)
	})
}

// endless sends a request that never ends until the daemon has enough.
func endless(ctx context.Context, t Target) error {
	begin, more := beginning(t.Protocol), bytes.Repeat([]byte("x"), 16<<10)
	return workers(ctx, 20, 100*time.Millisecond, func(ctx context.Context) error {
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		for _, err = c.Write(begin); err == nil; _, err = c.Write(more) {
		}
		return nil
	})
}

func sendNULs(ctx context.Context, t Target) error {
	in := make([]byte, 8<<10)
	return workers(ctx, 20, 100*time.Millisecond, func(ctx context.Context) error {
		return t.sendAndRead(ctx, in, 100*time.Millisecond)
	})
}

// unknown asks for what there is not, ever something else, so that no cache can hold it all.
func unknown(ctx context.Context, t Target) error {
	return workers(ctx, 20, 200*time.Millisecond, func(ctx context.Context) error {
		var in []byte
		for range 20 {
			in = append(in, strange(t.Protocol)...)
		}
		return t.sendAndRead(ctx, in, 50*time.Millisecond)
	})
}

// neverRead asks on until nothing more fits, and stays.
func neverRead(ctx context.Context, t Target) error {
	in := bytes.Repeat(Question(t.Protocol, "192.0.2.66"), 100)
	return workers(ctx, 5, time.Second, func(ctx context.Context) error {
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if tcp, ok := c.(endsWith).Conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10) // the sooner it is full
		}
		for err == nil {
			_, err = c.Write(in)
		}
		return nil
	})
}

// almostFull has as many connections as it may, each with a request that lacks its end.
func almostFull(ctx context.Context, t Target) error {
	kinds := AlmostFull(t.Protocol)
	return workers(ctx, min(t.Conns/10, 1000), 2*time.Second, func(ctx context.Context) error {
		kind := kinds[rand.IntN(len(kinds))]
		return t.sendAndRead(ctx, kind.Bytes, time.Minute)
	})
}

// fullSpeed asks good questions in batches, as fast as they are answered.
func fullSpeed(ctx context.Context, t Target) error {
	in := bytes.Repeat(Question(t.Protocol, "198.51.100.66"), 20)
	return workers(ctx, 4, 0, func(ctx context.Context) error {
		c, err := t.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		go readUntilClosed(c, time.Hour)
		for err == nil {
			_, err = c.Write(in)
		}
		return nil
	})
}
