package milter

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	// maxPacket is the longest packet in bytes. Postfix sends headers of up to
	// its header_size_limit of 102400; everything else is shorter, since we
	// ask not to be sent the body.
	maxPacket = 128 << 10
	// frameTimeout is how long a packet may take to arrive, once begun.
	frameTimeout = 10 * time.Second
	// readAhead is how many bytes are read at a time.
	readAhead = 2 << 10
)

// frames looks at the lengths of packets as they pass: go-milter would make
// room for a megabyte because a peer says that so much will follow, and wait
// for it without end. Between packets there is no deadline, since an SMTP
// session may pause for long.
//
// It reads ahead, where go-milter reads the length of a packet and the rest
// apart, and a mail server sends the macros of a stage and its command at once:
// one system call in the place of four, which pays for all that we do.
type frames struct {
	net.Conn
	fault func(reason string) // oversize, malformed, truncated, timeout

	buf   [readAhead]byte
	have  []byte // part of buf that was not passed on
	left  int    // bytes of the packet that were not passed on, its length among them
	armed bool   // a deadline is set,
	old   bool   // for a packet before this one
}

var errFrame = errors.New("milter: broken packet")

func (f *frames) Read(p []byte) (int, error) {
	if err := f.begin(); err != nil {
		return 0, err
	}
	if len(f.have) == 0 {
		if err := f.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.have[:min(len(f.have), f.left)])
	f.have = f.have[n:]
	if f.left -= n; f.left == 0 {
		f.old = true
	}
	return n, nil
}

// begin reads the length of a packet, unless there is still something left of
// the one before.
func (f *frames) begin() error {
	for f.left == 0 {
		if len(f.have) < 4 {
			if err := f.more(); err != nil {
				return err
			}
			continue
		}
		length := binary.BigEndian.Uint32(f.have)
		switch {
		case length == 0:
			f.fault("malformed")
			return errFrame
		case length > maxPacket:
			f.fault("oversize")
			return errFrame
		}
		f.left = 4 + int(length)
	}
	return nil
}

// more reads, in the time that is left for the packet if one has begun.
func (f *frames) more() error {
	begun := f.left > 0 || len(f.have) > 0
	if begun != f.armed || begun && f.old {
		var by time.Time
		if begun {
			by = time.Now().Add(frameTimeout)
		}
		if err := f.SetReadDeadline(by); err != nil {
			return err
		}
		f.armed, f.old = begun, false
	}
	have := copy(f.buf[:], f.have)
	n, err := f.Conn.Read(f.buf[have:])
	f.have = f.buf[:have+n]
	if n > 0 {
		return nil // an error comes again
	}
	if err != nil && begun {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			f.fault("timeout")
		} else if errors.Is(err, io.EOF) {
			f.fault("truncated")
		}
	}
	return err
}
