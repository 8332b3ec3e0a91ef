package benchmarks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// timing is one request of an open loop: when it was due since the start, how
// long after that its answer was complete, and whether a processor stopped
// meanwhile.
type timing struct {
	due, took time.Duration
	stopped   bool
}

// stalled is how long an open loop waits for anything at all.
const stalled = 10 * time.Second

// openLoop asks at times that do not depend on the answers: at a rate, each
// independently of the others as clients come to a mail server, n times or
// until ctx ends. The connections take turns; what is due on one that still
// waits for an answer is sent after it, and its time counts from when it was
// due. The times are the same in each call.
//
// All of it is done by one thread with epoll: the timers of Go may be a
// millisecond late, and its goroutines wait for each other. The thread has a
// real-time priority if that is possible, or it would wait for the server that
// it measures.
func openLoop(ctx context.Context, socket string, conns int, all []exchange, rate float64, n int) (got []timing, failures int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if setRealTime(1) == nil {
		defer endRealTime()
	}
	l := &opened{all: all, got: make([]timing, 0, n)}
	defer l.close()
	if err := l.openConns(socket, conns); err != nil {
		return nil, 0, err
	}
	r := rand.New(rand.NewPCG(7, 7))
	due := time.Duration(0)
	l.start = time.Now()
	endWatch := watchStops(l.start)
	defer func() { markStopped(l.got, endWatch()) }() // got is a part of l.got
	for {
		now := time.Since(l.start)
		for ; l.asked < n && due <= now && ctx.Err() == nil; l.asked++ {
			l.addConn(&l.conns[l.asked%conns], due)
			due += time.Duration(r.ExpFloat64() / rate * float64(time.Second))
		}
		var wait time.Duration
		if l.asked < n && ctx.Err() == nil {
			wait = max(due-time.Since(l.start), 1)
		} else if len(l.got)+l.failures == l.asked {
			break
		}
		if err := l.waitUntil(wait); err != nil {
			return l.got, l.asked - len(l.got), err
		}
	}
	return l.got, l.failures, l.err
}

type opened struct {
	all      []exchange
	start    time.Time
	conns    []openConn
	asked    int
	got      []timing
	failures int
	err      error // the first

	epoll, timer int
	events       [128]unix.EpollEvent
}

type openConn struct {
	fd   int
	next int             // in all
	due  []time.Duration // of the request under way, and of those behind it
	buf  [1 << 10]byte
	have int
	dead bool
}

func (l *opened) openConns(socket string, conns int) (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	watch := func(fd, index int) error {
		return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)})
	}
	err = watch(l.timer, -1)
	l.conns = make([]openConn, conns)
	for i := range l.conns {
		fd, dialErr := dialUnix(socket)
		l.conns[i] = openConn{fd: fd, next: begin(i, conns, len(l.all))}
		err = errors.Join(err, dialErr, watch(fd, i))
	}
	return err
}

// dialUnix connects without Go's network poller, which would wait in another
// thread.
func dialUnix(socket string) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: socket})
	}
	if err != nil {
		return fd, fmt.Errorf("connecting to %s: %w", socket, err)
	}
	return fd, nil
}

func (l *opened) close() {
	for _, c := range l.conns {
		unix.Close(c.fd)
	}
	unix.Close(l.timer)
	unix.Close(l.epoll)
}

// addConn sends a request, or has it wait for its turn.
func (l *opened) addConn(c *openConn, due time.Duration) {
	c.due = append(c.due, due)
	if c.dead {
		l.failWith(c, errors.New("the connection is lost"))
	} else if len(c.due) == 1 {
		l.sendDue(c)
	}
}

func (l *opened) sendDue(c *openConn) {
	request := l.all[c.next].request
	if n, err := unix.Write(c.fd, request); err != nil || n < len(request) {
		l.failWith(c, fmt.Errorf("asking %q: %d bytes sent, %w", request, n, err))
	}
}

// failWith counts all that waits on a connection as failed.
func (l *opened) failWith(c *openConn, err error) {
	if l.err == nil {
		l.err = err
	}
	l.failures += len(c.due)
	c.due = c.due[:0]
	if !c.dead {
		c.dead = true
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, c.fd, nil)
	}
}

// waitUntil reads what arrives, until then or for that long; 0 is no limit but that
// of what is stalled.
func (l *opened) waitUntil(limit time.Duration) error {
	// Set anew, the timer forgets that it ran out, and need not be read.
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(limit))}, nil); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	n, err := unix.EpollWait(l.epoll, l.events[:], int(stalled.Milliseconds()))
	switch {
	case err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("epoll: %w", err)
	case n == 0:
		return fmt.Errorf("no answer for %s", stalled)
	}
	for _, e := range l.events[:n] {
		if e.Fd >= 0 {
			l.readReplies(&l.conns[e.Fd])
		}
	}
	return nil
}

func (l *opened) readReplies(c *openConn) {
	x := &l.all[c.next]
	n, err := unix.Read(c.fd, c.buf[c.have:])
	now := time.Since(l.start)
	if err == unix.EINTR {
		return
	}
	if c.have += max(n, 0); n <= 0 || len(c.due) == 0 || !bytes.HasPrefix(x.reply, c.buf[:c.have]) {
		l.failWith(c, fmt.Errorf("%q: answered %q, %v, want %q", x.request, c.buf[:c.have], err, x.reply))
		return
	}
	if c.have < len(x.reply) {
		return
	}
	l.got = append(l.got, timing{due: c.due[0], took: now - c.due[0]})
	c.have, c.next, c.due = 0, (c.next+1)%len(l.all), c.due[:copy(c.due, c.due[1:])]
	if len(c.due) > 0 {
		l.sendDue(c)
	}
}
