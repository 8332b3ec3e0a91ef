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
	// writeTimeout is how long a reply may take to leave.
	writeTimeout = 10 * time.Second
)

// frames looks at the lengths of packets as they pass: go-milter would make
// room for a megabyte because a peer says that so much will follow, and wait
// for it without end. Between packets there is no deadline, since an SMTP
// session may pause for long.
type frames struct {
	net.Conn
	fault func(reason string) // oversize, malformed, truncated, timeout

	head [4]byte
	have int // bytes of head
	left int // bytes of the packet behind it
}

var errFrame = errors.New("milter: broken packet")

func (f *frames) Read(p []byte) (n int, err error) {
	if f.have < len(f.head) {
		n, err = f.Conn.Read(p[:min(len(p), len(f.head)-f.have)])
		if f.have == 0 && n > 0 && err == nil {
			err = f.SetReadDeadline(time.Now().Add(frameTimeout))
		}
		f.have += copy(f.head[f.have:], p[:n])
		if f.have == len(f.head) {
			switch length := binary.BigEndian.Uint32(f.head[:]); {
			case length == 0:
				f.fault("malformed")
				return 0, errFrame
			case length > maxPacket:
				f.fault("oversize")
				return 0, errFrame
			default:
				f.left = int(length)
			}
		}
	} else {
		n, err = f.Conn.Read(p[:min(len(p), f.left)])
		if f.left -= n; f.left == 0 && err == nil {
			f.have = 0
			err = f.SetReadDeadline(time.Time{})
		}
	}
	if err != nil && f.have > 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			f.fault("timeout")
		} else if errors.Is(err, io.EOF) {
			f.fault("truncated")
		}
	}
	return n, err
}

func (f *frames) Write(p []byte) (int, error) {
	if err := f.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return f.Conn.Write(p)
}
