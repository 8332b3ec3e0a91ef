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

// Protocol is a wire format. All connections may share one, but those of
// delegation.
type Protocol interface {
	// Answer takes the first request off in and appends the reply to out. n
	// is the length of the request, 0 if in holds only a part of it. With an
	// error the connection ends, after what was appended is sent. in may be
	// written to, up to n.
	Answer(ctx context.Context, in, out []byte) (n int, reply []byte, err error)
	// MaxRequest is the length in bytes that no request exceeds.
	MaxRequest() int
}

// FrameTimeout is how long a request may take, from its first byte to its
// last. There is no deadline between requests: the memcache client of Postfix
// keeps its connection for as long as its process lives, and finds out that it
// was closed only by losing an answer.
const FrameTimeout = 5 * time.Second

const (
	firstBuffer = 1 << 10 // bytes a connection starts with; requests are short
	keepReplies = 1 << 12 // bytes of buffer worth keeping for the next replies
)

// Serve answers the requests that arrive on conn until it ends, a frame is
// broken, or ctx is done and no request is under way. It does not close conn.
// Faults of framing go to fault. How long a reply may take to leave is for conn
// to say: a write that fails with os.ErrDeadlineExceeded is such a fault.
//
// Requests that arrive together are answered in one write, and so is each
// alone: the memcache client of Postfix has a timeout for every read.
func Serve(ctx context.Context, conn net.Conn, p Protocol, fault func(reason string, about []byte)) {
	s := session{ctx: ctx, conn: conn, proto: p, in: make([]byte, 0, firstBuffer)}
	for {
		if err := s.readAndAnswer(); err != nil {
			var frame FrameError
			if errors.As(err, &frame) {
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

	in    []byte // what has arrived and is not answered
	out   []byte
	armed bool // a read deadline is set
}

// step reads once and answers what is complete then.
func (s *session) readAndAnswer() error {
	if len(s.in) == 0 && s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	n, readErr := s.conn.Read(s.in[len(s.in):cap(s.in)])
	if s.in = s.in[:len(s.in)+n]; len(s.in) == cap(s.in) {
		// There is more to come, and no Read will wait for it. Those who ask one question come first; else they would wait
		// until we are preempted, ten milliseconds.
		runtime.Gosched()
	}
	rest, err := s.answerAll(s.in)
	if len(s.out) > 0 {
		if err := s.writeReplies(); err != nil {
			return err
		}
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

// answer answers all complete requests in in and gives what is left.
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

// arm sets the deadline of a request that has begun, once, and takes it away
// when none has. The ordinary request arrives whole and costs neither.
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
	// Whoever ends ctx then sets a deadline that has passed, to wake us. We
	// may just have undone that.
	if !s.armed {
		return s.ctx.Err()
	}
	return nil
}

// write sends the replies.
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
