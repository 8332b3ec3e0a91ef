package mtatest_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire lies between Postfix and the memcache socket of an ehlogate. It passes on what is said, and notes how long each
// question about a client took.
type wire struct {
	addr string // where Postfix asks

	mu    sync.Mutex
	to    string // where ehlogate listens
	took  []time.Duration
	last  map[string]time.Duration // by client
	conns map[net.Conn]bool
}

// newWire makes a wire that lasts as long as the test, to nowhere as yet.
func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String(), last: map[string]time.Duration{}, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			wg.Go(func() { w.passOn(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		for c := range w.conns {
			c.Close()
		}
		w.conns = nil
		w.mu.Unlock()
		wg.Wait()
	})
	return w
}

// leadTo says where the wire leads.
func (w *wire) leadTo(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

// keep has the cleanup close a connection, unless that has come before.
func (w *wire) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		return false
	}
	w.conns[c] = true
	return true
}

func (w *wire) dropAnswer(c net.Conn) {
	c.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
}

// passOn serves one connection. A question and an answer are one packet each: one side waits while the other speaks.
func (w *wire) passOn(near net.Conn) {
	defer w.dropAnswer(near)
	w.mu.Lock()
	to := w.to
	w.mu.Unlock()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer w.dropAnswer(far)
	if !w.keep(near) || !w.keep(far) {
		return
	}
	var mu sync.Mutex
	var client string // the subject of the last question
	var asked time.Time
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer near.Close()
		buf := make([]byte, 4096)
		for {
			n, err := far.Read(buf)
			now := time.Now()
			if err != nil {
				return
			}
			mu.Lock()
			if client != "" {
				w.note(client, now.Sub(asked))
				client = ""
			}
			mu.Unlock()
			if _, err := near.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 4096)
	for {
		n, err := near.Read(buf)
		if err != nil {
			break
		}
		if key, ok := bytes.CutPrefix(buf[:n], []byte("get starttls:")); ok {
			mu.Lock()
			client, asked = string(bytes.TrimSpace(key)), time.Now()
			mu.Unlock()
		}
		if _, err := far.Write(buf[:n]); err != nil {
			break
		}
	}
	far.Close()
	<-done
	if client != "" { // Postfix waits no longer
		w.note(client, time.Since(asked))
	}
}

// note keeps the time of an answer; that about this machine itself is of no account.
func (w *wire) note(client string, took time.Duration) {
	if strings.HasPrefix(client, "127.") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, took)
	w.last[client] = took
}

// delayOf gives how long the last answer about a client took; 0 if there was none.
func (w *wire) delayOf(client string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last[client]
}

// taken gives all times since the last call of it.
func (w *wire) taken() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.took = nil }()
	return w.took
}
