package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists/test/testenv"
)

// pair returns both ends of a connection, the server's one wrapped.
func newConnPair(t testing.TB, addr string) (client net.Conn, c *conn) {
	ln, err := Listen(addr, SocketOptions{})
	must(t, err)
	defer ln.Close()
	client, err = net.Dial(ln.Addr().Network(), ln.Addr().String())
	must(t, err)
	server, err := ln.Accept()
	must(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, &conn{Conn: server, epoch: time.Now()}
}

func TestConnDeadlines(t *testing.T) {
	_, c := newConnPair(t, "127.0.0.1:0")
	for name, set := range map[string]func(time.Time) error{"read": c.SetReadDeadline, "both": c.SetDeadline} {
		must(t, set(time.Now().Add(time.Millisecond)))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("SetDeadline did not reach Write: %v", err)
	}
}

// A write to a client that does not read times out, also on a connection that has been idle; each write has its own timeout.
func TestConnWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := &conn{Conn: server, epoch: time.Now(), writeTimeout: 10 * time.Second}
		exchange := func(pause time.Duration) error {
			go func() {
				client.Write([]byte("x"))
				time.Sleep(pause)
				client.Read(make([]byte, 1))
			}()
			_, err := c.Read(make([]byte, 1))
			must(t, err)
			_, err = c.Write([]byte("y"))
			return err
		}
		for range 5 {
			must(t, exchange(8*time.Second))
			time.Sleep(240 * time.Hour)
		}
		must(t, exchange(0))
		start := time.Now()
		if err := exchange(time.Minute); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start).Round(time.Second) != 10*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
		time.Sleep(time.Minute) // for the reader
	})
}

func TestConnHalfClose(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "s")} {
		client, c := newConnPair(t, addr)
		must(t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
		expectEnd(t, client)
		_, err := client.Write([]byte("x"))
		must(t, err)
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%s: read %d, %v", addr, n, err)
		}
	}
}

// TestConnLeaveRace has the handler ask for more time at the very moment its connection has to leave.
func TestConnLeaveRace(t *testing.T) {
	_, c := newConnPair(t, "127.0.0.1:0")
	for _, set := range []func(time.Time) error{c.SetReadDeadline, c.SetDeadline} {
		for range 500 {
			c.drainUntil.Store(nil)
			must(t, c.Conn.SetReadDeadline(time.Time{}))
			var leaving sync.WaitGroup
			leaving.Go(func() { c.startDrain(time.Now()) })
			must(t, set(time.Now().Add(time.Hour)))
			must(t, set(time.Time{}))
			_, err := c.Read(make([]byte, 1))
			leaving.Wait()
			if !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		}
	}
}

func TestConnKeepsShorterDeadline(t *testing.T) {
	_, c := newConnPair(t, "127.0.0.1:0")
	c.startDrain(time.Now().Add(time.Hour))
	must(t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read something")
	}
}

// TestIdle checks that idleness is counted from the Read that waits, and that a connection at work is not idle.
func TestIdle(t *testing.T) {
	ln := local(t)
	working, finish := make(chan bool), make(chan bool)
	r := serve(t, &Server{Grace: time.Minute, Handler: func(ctx context.Context, c net.Conn) {
		for buf := make([]byte, 1); ; working <- true {
			if _, err := c.Read(buf); err != nil {
				return
			}
			working <- true
			<-finish
		}
	}}, ln)
	oldest := func() (idle, busy net.Addr) {
		r.Server.mu.Lock()
		defer r.Server.mu.Unlock()
		i, b := r.Server.longestIdle(), r.Server.longestBusy()
		if i != nil {
			idle = i.RemoteAddr()
		}
		if b != nil {
			busy = b.RemoteAddr()
		}
		return idle, busy
	}
	same := func(a, b net.Addr) bool { return a == b || a != nil && b != nil && a.String() == b.String() }
	expect := func(when string, wantIdle, wantBusy net.Addr) {
		t.Helper()
		if idle, busy := oldest(); !same(idle, wantIdle) || !same(busy, wantBusy) {
			t.Errorf("%s: idle %v, busy %v; want %v, %v", when, idle, busy, wantIdle, wantBusy)
		}
	}

	expect("nobody", nil, nil)
	a := dial(t, ln.Addr())
	testenv.Eventually(t, "a waits", func() bool { return r.waiting() == 1 })
	b := dial(t, ln.Addr())
	testenv.Eventually(t, "b waits", func() bool { return r.waiting() == 2 })
	expect("both wait", a.LocalAddr(), nil)
	io.WriteString(a, "x")
	<-working
	expect("a works", b.LocalAddr(), a.LocalAddr())
	io.WriteString(b, "x")
	<-working
	expect("both work", nil, a.LocalAddr())
	finish <- true
	<-working // either has answered
	testenv.Eventually(t, "one waits", func() bool { return r.waiting() == 1 })
	finish <- true
	<-working
	testenv.Eventually(t, "both wait again", func() bool { return r.waiting() == 2 })
}

// endless is a connection that never waits, so that nothing but the wrapper is measured.
type endless struct{ net.Conn }

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func BenchmarkRead(b *testing.B) {
	read := func(c net.Conn) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for buf := make([]byte, 32); b.Loop(); {
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	client, c := newConnPair(b, "127.0.0.1:0")
	go func() { // ends when pair closes the client
		for chunk := make([]byte, 1<<16); ; {
			if _, err := client.Write(chunk); err != nil {
				return
			}
		}
	}()
	b.Run("tcp/bare", read(c.Conn))
	b.Run("tcp/wrapped", read(c))
	b.Run("nothing/bare", read(endless{}))
	b.Run("nothing/wrapped", read(&conn{Conn: endless{}, epoch: time.Now()}))
}

func TestReadAllocatesNothing(t *testing.T) {
	c := &conn{Conn: endless{}, epoch: time.Now()}
	buf := make([]byte, 1)
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Read(buf) }); n > 0 {
		t.Errorf("%v allocations a Read", n)
	}
}
