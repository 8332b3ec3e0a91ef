package server

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
	"ehlogate/lists/test/testenv"
)

func TestServe(t *testing.T) {
	tcp := local(t)
	unix, err := Listen(filepath.Join(t.TempDir(), "s"), SocketOptions{})
	must(t, err)
	r := serve(t, &Server{Handler: echo}, tcp, unix)
	var wg sync.WaitGroup
	for _, ln := range []net.Listener{tcp, unix} {
		for range 20 {
			c := dial(t, ln.Addr())
			wg.Go(func() {
				for range 20 {
					if err := ask(c, "hello"); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	if n := r.conns(); n != 40 {
		t.Errorf("%d connections", n)
	}
	r.stop()
	<-r.done
	if n := r.conns(); n != 0 || r.err != nil || len(r.faults) != 0 {
		t.Errorf("after the stop: %d connections, error %v, faults %v", n, r.err, r.faults)
	}
	if _, err := net.Dial("tcp", tcp.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestPanic(t *testing.T) {
	log, lines := test.NewNullLogger()
	logschema.Watch(t, log)
	ln := local(t)
	r := serve(t, &Server{Name: "memcache", Log: logrus.NewEntry(log), Handler: func(ctx context.Context, c net.Conn) {
		buf := make([]byte, 5)
		io.ReadFull(c, buf)
		if string(buf) == "panic" {
			panic("at the disco")
		}
		c.Write(buf)
		echo(ctx, c)
	}}, ln)
	good := dial(t, ln.Addr())
	must(t, ask(good, "hello"))
	for range 3 {
		bad := dial(t, ln.Addr())
		io.WriteString(bad, "panic")
		expectEnd(t, bad)
	}
	must(t, ask(good, "still there"))
	must(t, ask(dial(t, ln.Addr()), "hello"))
	testenv.Eventually(t, "all are counted", func() bool { return r.fault("panic") == 3 && r.conns() == 2 })
	if n := len(lines.AllEntries()); n != 1 {
		t.Fatalf("%d lines for three panics within a second", n)
	}
	e := lines.LastEntry()
	if e.Data["protocol"] != "memcache" || e.Data["panic"] != "at the disco" || !strings.Contains(e.Data["stack"].(string), "TestPanic") {
		t.Errorf("logged %v", e.Data)
	}
}

func TestCap(t *testing.T) {
	tcp := local(t)
	unix, err := Listen(filepath.Join(t.TempDir(), "s"), SocketOptions{})
	must(t, err)
	r := serve(t, &Server{MaxConns: 3, Grace: time.Minute, Handler: echo}, tcp, unix)
	var clients []net.Conn
	for i, ln := range []net.Listener{tcp, unix, tcp} {
		clients = append(clients, dial(t, ln.Addr()))
		testenv.Eventually(t, "it waits", func() bool { return r.waiting() == i+1 })
	}
	// The first one asks again, so it is the last in the line.
	must(t, ask(clients[0], "hello"))
	testenv.Eventually(t, "all wait", func() bool { return r.waiting() == 3 })
	for _, next := range []int{1, 2, 0} {
		c := dial(t, unix.Addr())
		must(t, ask(c, "hello"))
		expectEnd(t, clients[next])
		testenv.Eventually(t, "all wait", func() bool { return r.waiting() == 3 && r.conns() == 3 })
	}
	if n := r.fault("evicted"); n != 3 {
		t.Errorf("%d evicted", n)
	}
}

// TestCapOrder has more come than are looked ahead for: each time the one that has been idle for the longest leaves.
func TestCapOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3 * evictBatch
		ln := newPipes()
		r := serve(t, &Server{MaxConns: most, Grace: time.Minute, Handler: echo}, ln)
		var line []net.Conn // the longest idle first
		come := func() {
			line = append(line, ln.dial(t))
			time.Sleep(time.Millisecond)
		}
		for range most {
			come()
		}
		for i := range 2 * most {
			if i%5 == 0 { // asks again, and stays
				must(t, ask(line[0], "hello"))
				line = append(line[1:], line[0])
				time.Sleep(time.Millisecond)
			}
			come()
			expectEnd(t, line[0])
			line = line[1:]
			if n := r.conns(); n != most {
				t.Fatalf("%d connections after %d", n, i)
			}
		}
		for _, c := range line {
			must(t, ask(c, "hello"))
		}
	})
}

// TestMinIdle: a shortage of descriptors does not close a connection that was just answered.
func TestMinIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		r := serve(t, &Server{Grace: time.Minute, Handler: echo, Log: quiet()}, ln)
		c := ln.dial(t)
		must(t, ask(c, "hello"))
		ln.errs <- syscall.EMFILE
		synctest.Wait()
		must(t, ask(c, "hello"))
		time.Sleep(minIdle + time.Millisecond)
		ln.errs <- syscall.EMFILE
		expectEnd(t, c)
		if r.fault("evicted") != 1 {
			t.Error(r.faults)
		}
	})
}

// slow answers each request when told to. The request "hang" keeps it until ctx is done.
func slowHandler(answer <-chan bool) func(context.Context, net.Conn) {
	return func(ctx context.Context, c net.Conn) {
		for buf := make([]byte, 64); ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if string(buf[:n]) == "hang" {
				<-ctx.Done()
				return
			}
			<-answer
			c.Write(buf[:n])
		}
	}
}

// TestCapAllBusy fills the server with requests in flight: the connection that has to leave gets its answer first.
func TestCapAllBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan bool)
		ln := newPipes()
		r := serve(t, &Server{MaxConns: 2, Grace: time.Minute, Handler: slowHandler(answer)}, ln)
		first, second := ln.dial(t), ln.dial(t)
		io.WriteString(first, "one")
		time.Sleep(time.Second)
		io.WriteString(second, "two")
		time.Sleep(time.Second)
		third := ln.dial(t)
		io.WriteString(third, "three")
		synctest.Wait()
		if r.fault("evicted") != 1 || r.conns() != 3 {
			t.Errorf("%v, %d connections", r.faults, r.conns())
		}
		close(answer)
		b := make([]byte, 64)
		for c, want := range map[net.Conn]string{first: "one", second: "two", third: "three"} {
			if n, err := c.Read(b); string(b[:n]) != want {
				t.Errorf("got %q, %v, want %q", b[:n], err, want)
			}
		}
		expectEnd(t, first)
		must(t, ask(second, "more"))
		must(t, ask(third, "more"))
	})
}

// TestCapHung has a cap of handlers that hang: new connections are served up to twice the cap, then refused until
// Grace has passed for the connections that are draining.
func TestCapHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		r := serve(t, &Server{MaxConns: 2, Grace: time.Minute, Handler: slowHandler(nil)}, ln)
		hung, start := make([]net.Conn, 4), time.Now()
		for i := range hung {
			hung[i] = ln.dial(t)
			io.WriteString(hung[i], "hang")
			time.Sleep(time.Second)
		}
		expectEnd(t, ln.dial(t))
		if r.fault("evicted") != 2 || r.fault("refused") != 1 || r.conns() != 4 {
			t.Errorf("%v, %d connections", r.faults, r.conns())
		}
		// The first had to leave when the third came, the second when the fourth did.
		for i, want := range []time.Duration{62 * time.Second, 63 * time.Second} {
			expectEnd(t, hung[i])
			if got := time.Since(start); got != want {
				t.Errorf("%d was cut after %v", i, got)
			}
		}
		synctest.Wait()
		last := ln.dial(t)
		io.WriteString(last, "hang")
		synctest.Wait()
		if r.fault("evicted") != 3 || r.fault("refused") != 1 {
			t.Error(r.faults)
		}
	})
}
