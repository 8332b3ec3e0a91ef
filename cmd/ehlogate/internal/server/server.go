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

// drainTime is how long a connection that has to leave, but is not known to be idle, still reads: what is half here gets its
// answer. At the stop that goes for all of them, since what was on its way then cannot know that we were about to end.
const drainTime = 20 * time.Millisecond

// Server serves one protocol, on any number of listeners. Set the fields before the first Serve; all but Handler may be left
// out. The hooks are called from many goroutines.
type Server struct {
	// Name is the protocol, for the log.
	Name string
	// Handler answers on one connection until Read fails or the client misbehaves, and returns; it need not close c. Reads
	// and answers take turns: a connection counts as idle while it waits in Read.
	//
	// When the server stops or needs the place, Read returns net.ErrClosed between two requests. ctx is done only when the
	// connection is cut, Grace later: until then a question in flight may take the time it was given. A later deadline than
	// the server's cannot be set. c has a method NetConn() net.Conn that leads to CloseWrite.
	Handler func(ctx context.Context, c net.Conn)
	// MaxConns caps the connections of all listeners together; zero is no cap. At the cap the connection that has been
	// waiting for its client for the longest has to leave for the new one. If none waits, it is the one whose client was
	// heard of the longest ago: if one hangs, that one. It gets its answer out first, and is cut after Grace. Those who are
	// leaving are not counted, but while there are MaxConns of them too, new connections are refused: to a mail server
	// being turned away does less harm than waiting.
	MaxConns int
	// WriteTimeout is how long an answer may take to leave, beginning with the request that it is to; the Write then fails
	// with os.ErrDeadlineExceeded. Zero is no bound.
	WriteTimeout time.Duration
	// Grace is how long a connection that has to leave may take to finish its answer.
	Grace time.Duration
	// Log gets at most one line of each kind in ten seconds. Nil is the standard logger.
	Log *logrus.Entry
	// OnConns is told +1 and -1 as connections come and go.
	OnConns func(delta int)
	// OnFault is told of each fault: accept, evicted, panic, refused.
	OnFault func(reason string)

	once    sync.Once
	zero    time.Time
	trouble struct{ accept, full, panic loglimit.Limiter }

	mu      sync.Mutex
	conns   map[*conn]struct{}
	leaving int    // how many of conns were told to leave
	next    []idle // who is to leave next; see oldest
}

func (s *Server) setUp() {
	s.zero = time.Now()
	s.conns = make(map[*conn]struct{})
	if s.Log == nil {
		s.Log = logrus.NewEntry(logrus.StandardLogger())
	}
	s.Log = s.Log.WithField("protocol", s.Name)
	if s.OnConns == nil {
		s.OnConns = func(int) {}
	}
	if s.OnFault == nil {
		s.OnFault = func(string) {}
	}
}

// Serve accepts connections from ln and hands each to the handler, until ctx is done. Then it closes ln, lets requests in
// flight be answered for at most Grace, and cuts what is left. It returns when all that it started has ended, so a handler
// that heeds neither its connection nor its context keeps it. The error is nil unless ln failed for good while ctx was
// not done.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.once.Do(s.setUp)
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
	return fmt.Errorf("%s: accept on %s: %w", s.Name, ln.Addr(), err)
}

// Conns is how many connections there are. It waits for whatever holds up the server's bookkeeping, and so tells a watchdog
// whether something does.
func (s *Server) Conns() int {
	s.once.Do(s.setUp)
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// handle runs the handler on c and cleans up behind it.
func (s *Server) handle(c *conn) {
	s.OnConns(1)
	defer s.OnConns(-1)
	defer s.remove(c)
	defer c.cut()
	defer func() {
		if v := recover(); v != nil {
			s.OnFault("panic")
			s.trouble.panic.Warn(s.Log.WithFields(logrus.Fields{"panic": fmt.Sprint(v), "stack": string(debug.Stack())}),
				"a connection was closed because its handler panicked")
		}
	}()
	s.Handler(c.ctx, c)
}

// admit makes c one of the server's connections and makes another one leave if that is too many.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	full := s.MaxConns > 0 && len(s.conns)-s.leaving >= s.MaxConns
	refused := full && s.leaving >= s.MaxConns
	if full && !refused {
		if c := s.oldest(); c != nil {
			s.drain(c, time.Now())
		} else {
			s.drain(s.longestBusy(), time.Now().Add(drainTime))
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
		// In a burst of new connections those who leave must get a turn too, or they pile up until we refuse.
		runtime.Gosched()
	}
	if full {
		s.trouble.full.Warn(s.Log.WithField("max_conns", s.MaxConns), "too many connections: the one idle for the longest is closed for each new one")
	}
	return !refused
}

// drain makes c leave: it reads no request after until and is cut after Grace. The lock must be held.
func (s *Server) drain(c *conn, until time.Time) {
	if c.cutter == nil {
		s.leaving++
		c.startDrain(until)
		c.cutter = time.AfterFunc(s.Grace, c.cut)
	}
}

// drainAll makes all connections of one Serve leave.
func (s *Server) drainAll(owner *sync.WaitGroup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := time.Now().Add(drainTime)
	for c := range s.conns {
		if c.owner == owner {
			s.drain(c, until)
		}
	}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.cutter != nil {
		c.cutter.Stop()
		s.leaving--
	}
}
