package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/emersion/go-milter"

	"ehlogate/lists"
)

const (
	// maxPacket is the longest packet in bytes. Postfix sends headers of up to its header_size_limit, 102400 by default.
	// Bytes that are cut off use no memory.
	maxPacket = 16 << 20
	// maxText is the longest packet that is passed on whole. Postfix accepts lines of 2048 bytes from clients, and 12288
	// during a login; macros repeat a few of them.
	maxText = 16 << 10
	// maxStrings is how many strings a packet of macros may have, two for each macro. Sendmail sends at most 50 macros,
	// Postfix those in its configuration.
	maxStrings = 256
	// maxKept is how many bytes are passed on of a packet with text that is not used, such as the value of a header.
	maxKept = 64
	// frameTimeout is how long a packet may take from its first byte to its last.
	frameTimeout = 10 * time.Second
	// readAhead is how many bytes are read at once.
	readAhead = 2 << 10
)

// packetConn checks packets before go-milter reads them. go-milter alone would allocate a megabyte because a packet says
// that so much will follow, and wait for it without a timeout. Between packets there is no deadline, since an SMTP session
// may pause for a long time.
//
// It cuts off text that is not used from long packets, such as the value of a header, so that no connection uses more
// memory than a few times maxText.
//
// It reads ahead: go-milter reads the length of a packet and the rest separately, and a mail server sends the macros of a
// stage and its command together. One system call in place of four outweighs the cost of the checks.
type packetConn struct {
	net.Conn
	fault func(reason string) // oversize, malformed, truncated, timeout

	buf         [readAhead]byte
	have        []byte // part of buf that was not passed on yet
	left        int    // bytes of the packet that were not passed on yet, including its length
	skip        int    // bytes after them to cut off
	code        milter.Code
	strings     int    // strings so far, in a packet of macros
	negotiation []byte // sent in place of the negotiation of go-milter
	connect     []byte // the connect packet, until clientAddr reads it
	deadlineSet bool   // a read deadline is set
	deadlineOld bool   // it is the deadline of a previous packet
}

var errPacket = errors.New("milter: malformed packet")

func (f *packetConn) Read(p []byte) (int, error) {
	if err := f.nextPacket(); err != nil {
		return 0, err
	}
	if len(f.have) == 0 {
		if err := f.readMore(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.have[:min(len(f.have), f.left)])
	f.have = f.have[n:]
	if f.left -= n; f.left+f.skip == 0 {
		f.deadlineOld = true
	}
	switch f.code {
	case milter.CodeConn:
		f.connect = append(f.connect, p[:n]...)
	case milter.CodeMacro:
		if f.strings += bytes.Count(p[:n], []byte{0}); f.strings > maxStrings {
			f.fault("oversize")
			return 0, errPacket
		}
	}
	return n, nil
}

// peekOffer returns what the mail server offers in the first packet, which stays to be read: its version, and what a milter
// may do and skip. version is 0 if the packet is another one.
func (f *packetConn) peekOffer() (version uint32, actions milter.OptAction, skips milter.OptProtocol, err error) {
	const size = 4 + 1 + 3*4
	err = f.nextPacket()
	for err == nil && len(f.have) < min(f.left, size) {
		err = f.readMore()
	}
	if err != nil || f.code != milter.CodeOptNeg || f.left < size {
		return 0, 0, 0, err // go-milter handles it
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32(f.have[at:]) }
	return number(5), milter.OptAction(number(9)), milter.OptProtocol(number(13)), nil
}

// replaceOffer sets the packet to send in place of go-milter's own negotiation, which always has version 2.
func (f *packetConn) replaceOffer(version uint32, actions milter.OptAction, skips milter.OptProtocol, macros []byte) {
	b := append(make([]byte, 4, 64), byte(milter.CodeOptNeg))
	for _, n := range []uint32{version, uint32(actions), uint32(skips)} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = append(b, macros...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	f.negotiation = b
}

func (f *packetConn) Write(p []byte) (int, error) {
	if len(p) > 4 && milter.Code(p[4]) == milter.CodeOptNeg && f.negotiation != nil {
		if _, err := f.Conn.Write(f.negotiation); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return f.Conn.Write(p)
}

// clientAddr returns the client address in the connect packet that was just passed on. It has a host name, a family, and
// for the families 4 and 6 a port and an address.
func (f *packetConn) clientAddr() (addr netip.Addr) {
	packet := f.connect
	f.connect = nil
	if len(packet) < 5 {
		return addr
	}
	_, rest, ok := bytes.Cut(packet[5:], []byte{0})
	if !ok || len(rest) < 3 || rest[0] != '4' && rest[0] != '6' {
		return addr
	}
	text, _, _ := bytes.Cut(rest[3:], []byte{0})
	addr, _ = lists.ParseAddrBytes(text)
	return addr
}

// nextPacket reads the begin of the next packet, unless a part of the previous one is left.
func (f *packetConn) nextPacket() error {
	for f.left == 0 {
		if f.skip > 0 && len(f.have) > 0 {
			n := min(f.skip, len(f.have))
			f.have = f.have[n:]
			f.skip -= n
			f.deadlineOld = f.skip == 0
			continue
		}
		if f.skip == 0 && len(f.have) >= 4 {
			length := binary.BigEndian.Uint32(f.have)
			switch {
			case length == 0:
				f.fault("malformed")
				return errPacket
			case length > maxPacket:
				f.fault("oversize")
				return errPacket
			}
			if len(f.have) > 4 {
				if err := f.startPacket(int(length), milter.Code(f.have[4])); err != nil {
					return err
				}
				continue
			}
		}
		if err := f.readMore(); err != nil {
			return err
		}
	}
	return nil
}

// startPacket decides how much of the packet at the begin of f.have is passed on.
func (f *packetConn) startPacket(length int, code milter.Code) error {
	keep := maxKept
	switch code {
	case milter.CodeOptNeg, milter.CodeMacro, milter.CodeConn, milter.CodeHelo:
		if keep = maxText; length > keep {
			f.fault("oversize")
			return errPacket
		}
	}
	keep = min(length, keep)
	binary.BigEndian.PutUint32(f.have, uint32(keep))
	f.left, f.skip = 4+keep, length-keep
	f.code, f.strings, f.connect = code, 0, nil
	return nil
}

// readMore reads once, within the timeout of the packet that has begun, if any.
func (f *packetConn) readMore() error {
	begun := f.left+f.skip > 0 || len(f.have) > 0
	if begun != f.deadlineSet || begun && f.deadlineOld {
		var by time.Time
		if begun {
			by = time.Now().Add(frameTimeout)
		}
		if err := f.SetReadDeadline(by); err != nil {
			return err
		}
		f.deadlineSet, f.deadlineOld = begun, false
	}
	have := copy(f.buf[:], f.have)
	n, err := f.Conn.Read(f.buf[have:])
	if f.have = f.buf[:have+n]; len(f.have) == len(f.buf) {
		runtime.Gosched() // more data is waiting: let connections with short packets run first
	}
	if n > 0 {
		return nil // an error is returned again by the next Read
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
