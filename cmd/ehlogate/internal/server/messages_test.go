package server

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
)

// failing is a listener whose Accept fails until the listener is closed.
type failing struct {
	net.Listener
	closed chan struct{}
}

func (l failing) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
		return nil, syscall.ENOBUFS
	}
}

func (l failing) Close() error { close(l.closed); return nil }

// TestLogLines holds the log lines of a server to the words that operators search for.
func TestLogLines(t *testing.T) {
	for want, provoke := range map[string]func(*Server){
		"cannot accept connections; trying again": func(s *Server) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := s.Serve(ctx, failing{nil, make(chan struct{})}); err != nil {
				t.Error(err)
			}
		},
		"panic in connection handler; connection closed; please report it": func(s *Server) {
			client, end := net.Pipe()
			defer client.Close()
			s.once.Do(s.setDefaults)
			c := &conn{Conn: end, epoch: s.epoch}
			c.ctx, c.cancel = context.WithCancel(t.Context())
			s.handle(c)
		},
		"connection limit reached; each new connection closes the one that was idle longest": func(s *Server) {
			s.once.Do(s.setDefaults)
			for range 2 {
				client, end := net.Pipe()
				defer client.Close()
				c := &conn{Conn: end, epoch: s.epoch}
				c.ctx, c.cancel = context.WithCancel(t.Context())
				c.lastRead.Store(-c.elapsed())
				s.admit(c)
			}
		},
	} {
		log, lines := test.NewNullLogger()
		logschema.Watch(t, log)
		provoke(&Server{Name: "memcache", MaxConns: 1, Log: logrus.NewEntry(log), Handler: func(context.Context, net.Conn) { panic("boom") }})
		if got := lines.AllEntries(); len(got) != 1 || got[0].Message != want || got[0].Data["protocol"] != "memcache" {
			t.Errorf("got %v, want one line %q", got, want)
		}
	}
}
