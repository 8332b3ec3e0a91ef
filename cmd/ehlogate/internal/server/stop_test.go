package server

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ehlogate/lists/test/testenv"
)

// TestStop stops a server on real sockets with one connection idle and one request in flight.
func TestStop(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "s")} {
		ln, err := Listen(addr, SocketOptions{})
		must(t, err)
		answer := make(chan bool)
		r := serve(t, &Server{Grace: time.Minute, Handler: slowHandler(answer)}, ln)
		idle, working := dial(t, ln.Addr()), dial(t, ln.Addr())
		io.WriteString(working, "question")
		testenv.Eventually(t, "one waits, one works", func() bool { return r.waiting() == 1 && r.conns() == 2 })
		r.stop()
		expectEnd(t, idle)
		if c, err := net.Dial(ln.Addr().Network(), ln.Addr().String()); err == nil {
			c.Close()
			t.Error("still listening")
		}
		close(answer)
		if b, err := io.ReadAll(working); string(b) != "question" || err != nil {
			t.Errorf("the request in flight got %q, %v", b, err)
		}
		<-r.done
	}
}

// TestStopTimes checks when each kind of connection ends.
func TestStopTimes(t *testing.T) {
	stop := func(t *testing.T, handler func(context.Context, net.Conn), request string, want time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			ln := newPipes()
			r := serve(t, &Server{Grace: time.Minute, Handler: handler}, ln)
			c := ln.dial(t)
			if request != "" {
				io.WriteString(c, request)
			}
			synctest.Wait()
			start := time.Now()
			r.stop()
			<-r.done
			if got := time.Since(start); got != want {
				t.Errorf("stopped after %v, want %v", got, want)
			}
			if r.err != nil {
				t.Error(r.err)
			}
		})
	}
	t.Run("idle", func(t *testing.T) { stop(t, slowHandler(nil), "", drainTime) })
	t.Run("hung", func(t *testing.T) { stop(t, slowHandler(nil), "hang", time.Minute) })
	t.Run("hung in Write", func(t *testing.T) { stop(t, echo, "nobody reads this", time.Minute) })
	t.Run("wants more time", func(t *testing.T) {
		stop(t, func(_ context.Context, c net.Conn) {
			for {
				c.SetReadDeadline(time.Now().Add(time.Hour))
				if _, err := c.Read(make([]byte, 64)); err != nil {
					return
				}
				time.Sleep(time.Second) // at work
			}
		}, "question", time.Second)
	})
}

// TestStopHalfHere stops while half a request has been read and while one is on its way.
func TestStopHalfHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		r := serve(t, &Server{Grace: time.Minute, Handler: func(_ context.Context, c net.Conn) {
			for buf := make([]byte, 8); ; {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				c.Write(buf)
			}
		}}, ln)
		half, fresh := ln.dial(t), ln.dial(t)
		io.WriteString(half, "half")
		synctest.Wait()
		r.stop()
		synctest.Wait()
		time.Sleep(drainTime / 2)
		io.WriteString(half, "-way")
		if _, err := io.ReadFull(half, make([]byte, 8)); err != nil {
			t.Error(err)
		}
		must(t, ask(fresh, "question"))
		expectEnd(t, half)
		expectEnd(t, fresh)
	})
}

// TestListenerFails closes the listener under the server: Serve ends and says so, and only its own connections end.
func TestListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone, stays := newPipes(), newPipes()
		s := &Server{Name: "memcache", Grace: time.Minute, Handler: echo}
		r := serve(t, s, stays)
		failed := make(chan error)
		go func() { failed <- s.Serve(t.Context(), gone) }()
		a, b := gone.dial(t), stays.dial(t)
		synctest.Wait()
		gone.Close()
		if err := <-failed; err == nil || err.Error() != "memcache: cannot accept connections on pipes: use of closed network connection" {
			t.Error(err)
		}
		expectEnd(t, a)
		must(t, ask(b, "hello"))
		if r.conns() != 1 {
			t.Errorf("%d connections", r.conns())
		}
	})
}
