package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"ehlogate/cmd/ehlogate/internal/loglimit"
	"ehlogate/cmd/ehlogate/internal/test/logschema"
)

func TestAcceptPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := test.NewNullLogger()
		logschema.Watch(t, log)
		ln := newPipes()
		r := serve(t, &Server{Name: "policy", Log: logrus.NewEntry(log), Handler: echo}, ln)
		fail := func() time.Duration {
			start := time.Now()
			ln.errs <- syscall.ENOBUFS
			return time.Since(start)
		}
		fail()
		for _, want := range []time.Duration{5, 10, 20, 40, 80, 100, 100, 100, 100, 100} {
			if got := fail(); got != want*time.Millisecond {
				t.Errorf("paused for %v, want %dms", got, want)
			}
		}
		must(t, ask(ln.dial(t), "hello"))
		fail()
		if got := fail(); got != minBackoff {
			t.Errorf("after a success it paused for %v", got)
		}
		time.Sleep(loglimit.Interval)
		fail()
		synctest.Wait()
		if n := r.fault("accept"); n != 14 {
			t.Errorf("%d faults", n)
		}
		var held int64
		for _, e := range lines.AllEntries() {
			if e.Data["protocol"] != "policy" || !errors.Is(e.Data[logrus.ErrorKey].(error), syscall.ENOBUFS) {
				t.Errorf("logged %v", e.Data)
			}
			if n, ok := e.Data["not_logged"]; ok {
				held += n.(int64)
			}
		}
		if n := len(lines.AllEntries()); n != 2 || held != 12 {
			t.Errorf("%d lines, %d not logged", n, held)
		}
	})
}

func TestStopDuringPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		r := serve(t, &Server{Handler: echo}, ln)
		start := time.Now()
		for range 8 {
			ln.errs <- syscall.ENOBUFS
		}
		synctest.Wait()
		paused := time.Since(start)
		r.stop()
		<-r.done
		if d := time.Since(start) - paused; d != 0 || r.err != nil {
			t.Errorf("stopped after %v: %v", d, r.err)
		}
	})
}

// TestShortage takes all file descriptors from a server: the connection idle for the longest time is closed for the new
// one, and the next for the Accept after that, which fails without a spare descriptor even if no connection waits. More may
// follow on a machine too busy to close them within the pause.
func TestShortage(t *testing.T) {
	p := child(t, "shortage")
	addr, err := net.ResolveTCPAddr("tcp", p.line())
	must(t, err)
	var old []net.Conn
	for range crowd {
		old = append(old, dial(t, addr))
		p.line() // it waits
	}
	io.WriteString(p.in, "take\n")
	if got := p.line(); got != "taken" {
		t.Fatal(got)
	}
	must(t, ask(dial(t, addr), "hello"))
	expectEnd(t, old[0])
	expectEnd(t, old[1])
	must(t, ask(old[crowd-1], "hello"))
}

// crowd is how many connections shortageChild has before the shortage.
const crowd = 20

// shortageChild serves, and takes all file descriptors when told to.
func shortageChild() {
	s := &Server{Log: quiet(), Handler: echo, Grace: time.Minute}
	s.once.Do(s.setDefaults) // we look inside before Serve gets to run
	ln, err := Listen("127.0.0.1:0", SocketOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	go s.Serve(context.Background(), ln)
	fmt.Println(ln.Addr())
	for n, r := 1, (&running{Server: s}); n <= crowd; time.Sleep(time.Millisecond) {
		if r.waiting() == n {
			fmt.Println(n)
			n++
		}
	}
	orders := bufio.NewScanner(os.Stdin)
	orders.Scan()
	err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64})
	for err == nil {
		_, err = syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
	}
	if err != syscall.EMFILE {
		fmt.Println(err)
		return
	}
	fmt.Println("taken")
	orders.Scan()
}
