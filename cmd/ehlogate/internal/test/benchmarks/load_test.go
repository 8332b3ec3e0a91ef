package benchmarks

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// load is a closed loop: each of its connections asks, reads the whole reply,
// looks whether it is right, and asks again.
type load struct {
	askers []*asker
	rates  []float64 // requests a second of each run
}

type asker struct {
	conn net.Conn
	all  []exchange
	next int
	buf  []byte
}

// newLoad connects to a socket.
func newLoad(t testing.TB, socket string, conns int, all []exchange) *load {
	t.Helper()
	l := &load{}
	t.Cleanup(func() {
		for _, a := range l.askers {
			a.conn.Close()
		}
	})
	for i := range conns {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		l.askers = append(l.askers, &asker{conn: conn, all: all, next: begin(i, conns, len(all)), buf: make([]byte, 1<<10)})
	}
	return l
}

// begin is where connection i begins in n exchanges: each has a part of its
// own, and all begin at an even place, since an echo replies by turns.
func begin(i, conns, n int) int { return i * n / conns &^ 1 }

// runRound asks n times over all connections.
func (l *load) runRound(n int) error {
	start := time.Now()
	errs := make([]error, len(l.askers))
	var wg sync.WaitGroup
	for i, a := range l.askers {
		wg.Go(func() { errs[i] = a.sendRequests(n / len(l.askers)) })
	}
	wg.Wait()
	l.rates = append(l.rates, float64(n)/time.Since(start).Seconds())
	return errors.Join(errs...)
}

func (a *asker) sendRequests(n int) error {
	if err := a.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	for range n {
		x := &a.all[a.next]
		if _, err := a.conn.Write(x.request); err != nil {
			return fmt.Errorf("asking %q: %w", x.request, err)
		}
		for got := 0; got < len(x.reply); {
			n, err := a.conn.Read(a.buf[got:])
			if err != nil {
				return fmt.Errorf("%q: a reply that begins with %q, and then: %w", x.request, a.buf[:got], err)
			}
			if got += n; !bytes.HasPrefix(x.reply, a.buf[:got]) {
				return fmt.Errorf("%q: answered %q, want %q", x.request, a.buf[:got], x.reply)
			}
		}
		if a.next++; a.next == len(a.all) {
			a.next = 0
		}
	}
	return nil
}

// cpuSide is the CPU time of a process for each request of a load, in
// microseconds, in rounds of n requests.
func cpuSide(t testing.TB, name string, d *mtatest.Daemon, l *load, n int) side {
	return side{name, func() float64 {
		before := cpuTime(t, d.Pid())
		if err := l.runRound(n); err != nil {
			t.Error(err)
		}
		return (cpuTime(t, d.Pid()) - before) * 1e6 / float64(n)
	}}
}

// startEcho starts an echo, and gives what it answers to the requests of ours.
func startEcho(t testing.TB, protocol string, ours []exchange) (d *mtatest.Daemon, socket string, theirs []exchange) {
	t.Helper()
	theirs, replies := echoed(ours)
	socket = tempDir(t) + "/echo.sock"
	return startPeer(t, "echo", socket, protocol, replies[0], replies[1]), socket, theirs
}

// faultless fails the test if a daemon counted a broken request or connection.
func faultless(t testing.TB, g *daemon) {
	t.Helper()
	for line := range strings.Lines(metrics(t, g)) {
		if strings.HasPrefix(line, "ehlogate_protocol_errors_total") && !strings.HasSuffix(line, " 0\n") {
			t.Errorf("ehlogate counted %s", line)
		}
	}
}
