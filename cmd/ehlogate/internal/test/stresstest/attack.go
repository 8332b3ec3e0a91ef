package stresstest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Protocols are those of the daemon, by their names in [listen] of its config.
var Protocols = []string{"memcache", "socketmap", "tcp_table", "policy", "milter", "http"}

// Target is what is attacked: a protocol, where it is served, and how many connections the attacker has at most.
type Target struct {
	Protocol      string
	Network, Addr string // as for net.Dial
	Conns         int
}

// Attack is one thing that bad peers do. Run does it until ctx ends, and fails only if it could do nothing at all. It paces
// itself: the point is what is said, and on how many connections, and not which side has more CPU.
type Attack struct {
	Name      string
	Protocols []string
	Run       func(ctx context.Context, t Target) error
}

// Attacks are all of them.
func Attacks() []Attack {
	lookups := Protocols[:4]
	return []Attack{
		{"idle crowd, ever new", Protocols, idleCrowd},
		{"a byte a second", Protocols, trickle},
		{"half a request, half-closed", Protocols, halfClosed},
		{"connect and close", Protocols, connectAndClose},
		{"connect and reset", Protocols, connectAndReset},
		{"broken requests", Protocols, brokenRequests},
		{"requests without end", Protocols, endless},
		{"NULs", Protocols, sendNULs},
		{"unknown maps, commands, keys", Protocols, unknown},
		{"questions, replies never read", Protocols, neverRead},
		{"almost full requests held", Protocols, almostFull},
		{"questions at full speed", lookups, fullSpeed},
	}
}

// workers run one over and over, n at a time, each at most once in every, until ctx ends. Failures are what an attacker
// expects, unless nothing ever works.
func workers(ctx context.Context, n int, every time.Duration, one func(ctx context.Context) error) error {
	var mu sync.Mutex
	var worked bool
	var failure error
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			select { // not all at the same moment
			case <-ctx.Done():
				return
			case <-time.After(every * time.Duration(i) / time.Duration(n)):
			}
			tick := time.NewTicker(max(every, time.Microsecond))
			defer tick.Stop()
			for ctx.Err() == nil {
				err := one(ctx)
				mu.Lock()
				if err == nil {
					worked = true
				} else if failure == nil {
					failure = err
				}
				mu.Unlock()
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
	if !worked && failure != nil {
		return failure
	}
	return nil
}

// connect connects, from many addresses, so that neither an attacker nor a client runs out of ports. The connection ends with
// ctx.
func (t Target) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	if t.Network == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 6, byte(rand.IntN(256)), byte(1+rand.IntN(254)))}
		d.Control = func(_, _ string, raw syscall.RawConn) (err error) { // the port is for connect to choose, which knows where to
			cerr := raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
			})
			return errors.Join(cerr, err)
		}
	}
	c, err := d.DialContext(ctx, t.Network, t.Addr)
	if err != nil {
		return nil, fmt.Errorf("attacking %s: %w", t.Protocol, err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	return endsWith{c, stop}, nil
}

// endsWith is a connection that a context closes.
type endsWith struct {
	net.Conn
	stop func() bool
}

func (c endsWith) Close() error {
	c.stop()
	return c.Conn.Close()
}

// reset closes without the farewell of TCP.
func (c endsWith) reset() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it is only less rude
	}
	return c.Close()
}

func (c endsWith) closeWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// readUntilClosed reads whatever comes until the daemon closes, at most for a time.
func readUntilClosed(c net.Conn, atMost time.Duration) {
	if err := c.SetReadDeadline(time.Now().Add(atMost)); err != nil {
		return
	}
	for buf := make([]byte, 4<<10); ; {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}
