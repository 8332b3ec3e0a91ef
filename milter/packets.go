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
	// maxPacket is the longest packet in bytes. Postfix sends headers of up to
	// its header_size_limit, 102400 by default; what is cut off costs nothing.
	maxPacket = 16 << 20
	// maxText is the longest packet that is passed on as it is. Postfix takes
	// lines of 2048 bytes from clients, and 12288 while they log in; of those,
	// macros repeat a few.
	maxText = 16 << 10
	// maxStrings is how many strings a packet of macros may have, two for each
	// macro. Sendmail sends 50 macros at most, Postfix those it is configured to.
	maxStrings = 256
	// maxIgnored is how much is passed on of a packet whose text does not
	// concern us. Of a header, the name does.
	maxKept = 64
	// frameTimeout is how long a packet may take to arrive, once begun.
	frameTimeout = 10 * time.Second
	// readAhead is how many bytes are read at a time.
	readAhead = 2 << 10
)

// frames looks at packets as they pass: go-milter would make room for a
// megabyte because a peer says that so much will follow, and wait for it
// without end. Between packets there is no deadline, since an SMTP session may
// pause for long.
//
// What does not concern us of a long packet, such as the value of a header, is
// cut off, so that no connection holds more than a few times maxText.
//
// It reads ahead, where go-milter reads the length of a packet and the rest
// apart, and a mail server sends the macros of a stage and its command at once:
// one system call in the place of four, which pays for all that we do.
type packetConn struct {
	net.Conn
	fault func(reason string) // oversize, malformed, truncated, timeout

	buf     [readAhead]byte
	have    []byte // part of buf that was not passed on
	left    int    // bytes of the packet that were not passed on, its length among them
	skip    int    // bytes behind them that are cut off
	code    milter.Code
	strings int    // in the packet, so far, if it is one of macros
	negotiation   []byte // the packet that says so
	connect []byte // the packet, if it is the one about the client, until it was read
	deadlineSet   bool   // a deadline is set,
	deadlineOld     bool   // for a packet before this one
}

var errPacket = errors.New("milter: broken packet")

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

// offered returns the first packet, which stays to be read, if it is the one with
// which a mail server says what it can do: its version, and what a milter may do
// and skip.
func (f *packetConn) peekOffer() (version uint32, actions milter.OptAction, skips milter.OptProtocol, err error) {
	const size = 4 + 1 + 3*4
	err = f.nextPacket()
	for err == nil && len(f.have) < min(f.left, size) {
		err = f.readMore()
	}
	if err != nil || f.code != milter.CodeOptNeg || f.left < size {
		return 0, 0, 0, err // go-milter goes by what comes
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32(f.have[at:]) }
	return number(5), milter.OptAction(number(9)), milter.OptProtocol(number(13)), nil
}

// negotiate has a packet take the place of the one in which go-milter says what
// it wants, always of version 2.
func (f *packetConn) replaceOffer(version uint32, actions milter.OptAction, skips milter.OptProtocol, lists []byte) {
	b := append(make([]byte, 4, 64), byte(milter.CodeOptNeg))
	for _, n := range []uint32{version, uint32(actions), uint32(skips)} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = append(b, lists...)
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

// client returns the address in the packet that was passed on, which is the one
// about the client: a host name, a family, and if that is 4 or 6 a port and an
// address.
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

// begin reads the begin of a packet, unless there is still something left of
// the one before.
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

// frame decides how much of the packet at the begin of f.have is passed on.
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

// more reads, in the time that is left for the packet if one has begun.
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
		runtime.Gosched() // there is more to come; those who say little at a time come first
	}
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
