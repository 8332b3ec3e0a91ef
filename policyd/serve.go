package policyd

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"time"
)

// Protocol is a wire format. All connections share one, except for package delegation, where each has its own.
type Protocol interface {
	// Answer answers the first request in in. It returns out with the reply appended, and the length of the request in
	// bytes: 0 if the request is not complete. An error, ErrQuit or a FrameError, closes the connection after the reply
	// was sent.
	Answer(ctx context.Context, in, out []byte) (n int, reply []byte, err error)
	// MaxRequest returns the length in bytes of the longest valid request.
	MaxRequest() int
}

// FrameTimeout is how long a request may take from its first byte to its last. There is no timeout between requests: the
// memcache client of Postfix keeps its connection for as long as its process runs, and notices that it was closed only by
// losing a reply.
const FrameTimeout = 5 * time.Second

const (
	firstBuffer = 1 << 10 // bytes of the first buffer for requests, which are short
	keepReplies = 1 << 12 // bytes of a buffer that is kept for the next replies
)

// Serve answers the requests on conn until conn is closed, a frame is invalid, or ctx is done and no request has begun. It
// does not close conn, and reports framing errors to fault. The caller sets write deadlines on conn: a write that fails
// with os.ErrDeadlineExceeded counts as a framing error.
//
// A reply, or several replies to requests that arrived together, is one write: the memcache client of Postfix has a timeout
// for each read.
func Serve(ctx context.Context, conn net.Conn, p Protocol, fault func(reason string, about []byte)) {
	s := session{conn: conn, proto: p, in: make([]byte, 0, firstBuffer)}
	s.ctx = context.WithValue(ctx, afterReplyKey{}, &s.after)
	for {
		if err := s.readAndAnswer(); err != nil {
			if frame, ok := errors.AsType[FrameError](err); ok {
				fault(string(frame), s.in)
			}
			return
		}
	}
}

type session struct {
	ctx   context.Context
	conn  net.Conn
	proto Protocol

	in    []byte // received and not answered yet
	out   []byte
	after afterReply
	armed bool // a read deadline is set
}

// readAndAnswer reads once and answers the requests that are complete.
func (s *session) readAndAnswer() error {
	if len(s.in) == 0 && s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	n, readErr := s.conn.Read(s.in[len(s.in):cap(s.in)])
	if s.in = s.in[:len(s.in)+n]; len(s.in) == cap(s.in) {
		// More data is waiting, so no Read will block. Let connections with a single request run first: otherwise they
		// wait until this goroutine is preempted, up to 10 ms.
		runtime.Gosched()
	}
	rest, err := s.answerAll(s.in)
	var writeErr error
	if len(s.out) > 0 {
		writeErr = s.writeReplies()
	}
	s.after.run()
	if writeErr != nil {
		return writeErr
	}
	moved := len(rest) < len(s.in)
	s.in = s.in[:copy(s.in, rest)]
	switch {
	case err != nil:
		return err
	case readErr == nil:
	case s.ctx.Err() != nil, len(s.in) == 0:
		return readErr
	case errors.Is(readErr, os.ErrDeadlineExceeded):
		return FrameError(FaultTimeout)
	case errors.Is(readErr, io.EOF):
		return FrameError(FaultTruncated)
	default:
		return readErr
	}
	if len(s.in) >= s.proto.MaxRequest() {
		return FrameError(FaultOversize)
	}
	if len(s.in) == cap(s.in) {
		s.in = append(make([]byte, 0, min(2*cap(s.in), s.proto.MaxRequest())), s.in...)
	}
	return s.setDeadline(moved)
}

// answerAll answers all complete requests in in and returns the rest.
func (s *session) answerAll(in []byte) (rest []byte, err error) {
	for len(in) > 0 {
		var n int
		n, s.out, err = s.proto.Answer(s.ctx, in, s.out)
		if err != nil || n == 0 {
			break
		}
		in = in[n:]
		if len(s.out) >= keepReplies { // short requests may have long replies
			if err = s.writeReplies(); err != nil {
				break
			}
		}
	}
	return in, err
}

// setDeadline sets the read deadline once for a request that has begun, and removes it if none has. An ordinary request
// arrives whole and needs neither. moved reports whether a request was answered since the last call.
func (s *session) setDeadline(moved bool) error {
	var by time.Time
	switch begun := len(s.in) > 0; {
	case begun && (moved || !s.armed):
		by = time.Now().Add(FrameTimeout)
	case begun == s.armed:
		return nil
	}
	s.armed = !by.IsZero()
	if err := s.conn.SetReadDeadline(by); err != nil {
		return err
	}
	// When ctx ends, the server sets a deadline in the past to wake Read. This call may just have removed it.
	if !s.armed {
		return s.ctx.Err()
	}
	return nil
}

func (s *session) writeReplies() error {
	_, err := s.conn.Write(s.out)
	if s.out = s.out[:0]; cap(s.out) > keepReplies {
		s.out = nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && s.ctx.Err() == nil {
		return FrameError(FaultTimeout)
	}
	return err
}
