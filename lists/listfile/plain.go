package listfile

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// plainLines reads plain lines as long as there are some in what was read of
// the file.
func (p *parser) plainLines() {
	data, _ := p.br.Peek(p.br.Buffered())
	used := 0
	for p.err == nil {
		n := p.plain(data[used:])
		if n == 0 {
			break
		}
		used += n
		if err := p.each(&p.easy); err != nil {
			p.err = err
		}
	}
	p.br.Discard(used) // of what is there, so it cannot fail
}

// plain reads a line that is an IPv4 address or prefix and nothing else, as
// nearly all lines of long lists are, in a tenth of the time that it takes to
// tell what a line is. It gives the length of the line, 0 for one that is not
// plainly right or too near to the end of data, so that there is one place
// where faults are found. FuzzPlain compares the two.
//
// The numbers of an address have one to three digits, and a processor that goes
// from one to the next guesses wrong at every other one. So where the four of
// them end is found in sixteen bytes at once, and what is wrong with any of
// them is gathered in bad.
func (p *parser) plain(data []byte) int {
	if len(data) < 24 {
		return 0
	}
	ends := notDigits(binary.LittleEndian.Uint64(data)) | notDigits(binary.LittleEndian.Uint64(data[8:]))<<8
	if bits.OnesCount32(ends) < 4 {
		return 0
	}
	var addr, bad uint32
	i, end := 0, 0 // where a number begins, and ends
	for part := range 4 {
		if end = bits.TrailingZeros32(ends); part < 3 {
			bad |= uint32(data[end] ^ '.')
		}
		ends &= ends - 1
		n, wrong := number(data[i:], end-i)
		addr, bad = addr<<8|n, bad|wrong
		i = end + 1
	}
	if bad != 0 {
		return 0
	}
	host := uint32(0) // the bits behind the prefix
	if i = end; data[i] == '/' {
		n, wrong := number(data[i+1:], bits.TrailingZeros32(notDigits(binary.LittleEndian.Uint64(data[i+1:]))))
		// What is wider may be against the rules of the list.
		if wrong != 0 || n < 8 || n > 32 {
			return 0
		}
		if host = uint32(1)<<(32-n) - 1; addr&host != 0 {
			return 0
		}
		if i += 2; n >= 10 {
			i++
		}
	}
	n := i
	if data[i] == '\r' {
		i++
	}
	if data[i] != '\n' {
		return 0
	}
	p.Line++
	p.said = true
	it := &p.easy // of which the rest never changes
	it.text, it.From, it.To, it.Line, it.Col, it.Width = data[:n], addr4(addr), addr4(addr|host), p.Line, 1, n
	return i + 1
}

// notDigits gives eight bits, from the first byte to the last: whether it is no
// digit.
func notDigits(bytes uint64) uint32 {
	const all = 0x0101010101010101
	b := bytes ^ '0'*all // 0 to 9 for digits
	above := ((b&(0x7f*all) + (0x7f-9)*all) | b) & (0x80 * all)
	return uint32(above >> 7 * 0x0102040810204080 >> 56)
}

// least is the least number that is written with so many digits; there are none
// with more than three in an address.
var least = func() (l [32]uint32) {
	for digits := range l {
		l[digits] = 1 << 30
	}
	l[1], l[2], l[3] = 0, 10, 100
	return l
}()

// number reads the digits that data begins with. wrong is 0 if they are part of
// an address: at most 255, and written as it should be.
func number(data []byte, digits int) (n, wrong uint32) {
	shift := uint(32 - 8*digits)
	b := binary.LittleEndian.Uint32(data)<<shift - 0x30303030<<shift // the last digit on top
	n = b>>8&0xff*100 + b>>16&0xff*10 + b>>24
	return n, n>>8 | (n-least[digits&31])>>31
}

func addr4(a uint32) netip.Addr { return key4(a).addr() }
