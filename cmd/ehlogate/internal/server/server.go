package server

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/loglimit"
)

// drainTime is how long a draining connection that may not be idle still reads, so that a request of which a part has
// arrived gets its reply. At shutdown that goes for all connections: a request may be on its way.
const drainTime = 20 * time.Millisecond

// Server serves one protocol on any number of listeners. Set the fields before the first Serve; MaxConns,
// WriteTimeout, Grace and the hooks are optional. Hooks are called concurrently.
type Server struct {
	// Name is the protocol, for the log.
	Name string
	// Handler serves one connection until Read fails or the client misbehaves, then returns. It need not close c.
	// Reads and replies take turns: a connection counts as idle while it waits in Read.
	//
	// At shutdown, or when the server evicts the connection, Read returns net.ErrClosed between two requests. ctx is
	// done only when the connection is closed, Grace later, so a request in flight may take the time it was given. A
	// deadline later than the server's has no effect.
	Handler func(ctx context.Context, c net.Conn)
	// MaxConns caps the connections of all listeners together; 0: no cap. At the cap, a new connection evicts the one
	// that has been idle for the longest time, or else the one whose handler has been busy for the longest time. An
	// evicted connection may finish its reply within Grace and does not count; but if MaxConns of them are still open,
	// new connections are refused, since to a mail server a closed connection does less harm than waiting.
	MaxConns int
	// WriteTimeout is how long a reply may take from the read of its request; then Write fails with
	// os.ErrDeadlineExceeded. 0: no timeout.
	WriteTimeout time.Duration
	// Grace is how long a draining connection may take to finish its reply.
	Grace time.Duration
	// Log gets at most one line of each kind in 10 seconds.
	Log *logrus.Entry
	// OnConns is called with +1 and -1 as connections come and go.
	OnConns func(delta int)
	// OnFault is called for each fault with its reason: accept, evicted, panic, refused.
	OnFault func(reason string)

	once  sync.Once
	epoch time.Time
	logs  struct{ accept, full, panic loglimit.Limiter }

	mu         sync.Mutex
	conns      map[*conn]struct{}
	draining   int        // number of conns that are draining
	candidates []idleConn // to evict next; see longestIdle
}

func (s *Server) setDefaults() {
	s.epoch = time.Now()
	s.conns = make(map[*conn]struct{})
	s.Log = s.Log.WithField("protocol", s.Name)
	if s.OnConns == nil {
		s.OnConns = func(int) {}
	}
	if s.OnFault == nil {
		s.OnFault = func(string) {}
	}
}

// Serve accepts connections from ln and runs the handler for each, until ctx is done. Then it closes ln, gives requests
// in flight up to Grace, and closes what is left. It returns when all its goroutines have ended, so it waits for a handler
// that ignores its connection and its context. The error is nil unless ln failed for good while ctx was not done.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.once.Do(s.setDefaults)
	var wg sync.WaitGroup
	closing, closeNow := context.WithCancel(ctx)
	wg.Go(func() {
		<-closing.Done()
		ln.Close()
	})
	err := s.acceptAll(ctx, ln, &wg)
	closeNow()
	s.drainAll(&wg)
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%s: cannot accept connections on %s: %w", s.Name, ln.Addr(), err)
}

// Conns returns the number of connections. It takes the server's lock, so a watchdog that calls it notices a deadlock.
func (s *Server) Conns() int {
	s.once.Do(s.setDefaults)
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) handle(c *conn) {
	s.OnConns(1)
	defer s.OnConns(-1)
	defer s.removeConn(c)
	defer c.closeNow()
	defer func() {
		if v := recover(); v != nil {
			s.OnFault("panic")
			s.logs.panic.Warn(s.Log, "panic in connection handler; connection closed; please report it", func() logrus.Fields {
				return logrus.Fields{"panic": fmt.Sprint(v), "stack": string(debug.Stack())}
			})
		}
	}()
	s.Handler(c.ctx, c)
}

// admit adds c to the connections of the server, and evicts another one at the cap. It reports false if c is refused.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	full := s.MaxConns > 0 && len(s.conns)-s.draining >= s.MaxConns
	refused := full && s.draining >= s.MaxConns
	if full && !refused {
		if c := s.longestIdle(); c != nil {
			s.drainConn(c, time.Now())
		} else {
			s.drainConn(s.longestBusy(), time.Now().Add(drainTime))
		}
	}
	if !refused {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()

	switch {
	case refused:
		s.OnFault("refused")
	case full:
		s.OnFault("evicted")
		// In a burst of new connections the draining ones need CPU time too, or they pile up until new ones are refused.
		runtime.Gosched()
	}
	if full {
		s.logs.full.Warn(s.Log, "connection limit reached; each new connection closes the one that was idle longest",
			func() logrus.Fields { return logrus.Fields{"max_connections": s.MaxConns} })
	}
	return !refused
}

// drainConn drains c: it reads no request after until, and is closed after Grace. The caller holds the lock.
func (s *Server) drainConn(c *conn, until time.Time) {
	if c.closeTimer == nil {
		s.draining++
		c.startDrain(until)
		c.closeTimer = time.AfterFunc(s.Grace, c.closeNow)
	}
}

// drainAll drains all connections of one Serve.
func (s *Server) drainAll(group *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := time.Now().Add(drainTime)
	for c := range s.conns {
		if c.group == group {
			s.drainConn(c, until)
		}
	}
}

func (s *Server) removeConn(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.closeTimer != nil {
		c.closeTimer.Stop()
		s.draining--
	}
}
