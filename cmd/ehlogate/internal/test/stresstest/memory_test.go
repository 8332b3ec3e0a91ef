package stresstest

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ehlogate/lists/test/testenv"
)

// bounds are what a connection can have the daemon hold at most, in KiB of its RSS: twice of what is held, since the
// garbage collector lets memory grow to that, and the stacks and descriptors of a connection, some 8 KiB.
//
//	memcache    a line of 4 KiB and data of 10 KiB, in a buffer that has grown
//	socketmap   a netstring of 10,000 bytes
//	tcp_table   a line of 4 KiB
//	policy      a request of 32 KiB
//	milter      a packet of 16 KiB, the macros before it, of as much, as strings in a map, and buffers of 6 KiB
//	http        a header of 12 KiB, and buffers of 8 KiB; of these there are 64 at most
//
// Replies that are not read add their buffer of 4 KiB.
var bounds = map[string]int{"memcache": 40, "socketmap": 40, "tcp_table": 20, "policy": 80, "milter": 150, "http": 60}

// A thousand connections, each of which holds what it can.
func TestMemory(t *testing.T) {
	testenv.Needs(t, "a minute")
	for _, protocol := range Protocols {
		for _, kind := range append(AlmostFull(protocol), Kind{Name: "nothing"}) {
			t.Run(protocol+", "+kind.Name, func(t *testing.T) {
				n := 1000
				if protocol == "http" {
					n = 64
				}
				g := start(t, false, "unix", "")
				before := g.footprint(t)
				g.forget(t)
				rss := g.status(t, "VmHWM")
				conns := make([]net.Conn, n)
				var closed atomic.Int64 // by the daemon
				for i := range conns {
					c, err := net.Dial("unix", g.targets[protocol].Addr)
					must(t, err)
					conns[i] = c
					go func() {
						readUntilClosed(c, time.Minute)
						closed.Add(1)
					}()
					_, err = c.Write(kind.Bytes)
					must(t, err)
				}
				testenv.Eventually(t, "all of it has been read", func() bool {
					for _, c := range conns {
						if unread(t, c) > 0 {
							return false
						}
					}
					return g.connections(t, protocol)+int(closed.Load()) >= n
				})
				// On a machine that is busy with other tests, a request may take longer than the daemon waits for it. With
				// http, each look at the metrics takes the place of a connection.
				if n := int(closed.Load()); n > len(conns)/10 && protocol != "http" {
					t.Errorf("%d connections were hung up on", n)
				}
				grown := g.status(t, "VmHWM") - rss
				t.Logf("%d connections: RSS grew by %d KiB, %.1f for each; bound %d",
					n, grown, float64(grown)/float64(n), bounds[protocol])
				if grown > n*bounds[protocol] {
					t.Errorf("RSS grew by %d KiB, more than %d", grown, n*bounds[protocol])
				}
				for _, c := range conns {
					c.Close()
				}
				g.settles(t, before)
			})
		}
	}
}

// connections is how many connections the daemon has.
func (g *daemon) connections(t testing.TB, protocol string) int {
	t.Helper()
	return int(g.metrics(t)[`ehlogate_connections{protocol="`+protocol+`"}`])
}

// unread is how many bytes the other side of a unix socket has not read yet.
func unread(t testing.TB, c net.Conn) (n int) {
	t.Helper()
	raw, err := c.(*net.UnixConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }))
	must(t, err)
	return n
}
