package listfile

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// parsePlainLines parses plain lines as long as there are some in the read buffer.
func (p *parser) parsePlainLines() {
	data, _ := p.br.Peek(p.br.Buffered())
	used := 0
	for p.err == nil {
		n := p.parsePlainLine(data[used:])
		if n == 0 {
			break
		}
		used += n
		p.err = p.each(&p.plain)
	}
	p.br.Discard(used) // of what is buffered, so it cannot fail
}

// parsePlainLine parses a line that is an IPv4 address or prefix and nothing else, as nearly all lines of long lists are,
// in a tenth of the time of parseLine. It returns the length of the line; 0 for one that is not valid and plain, or too
// near to the end of data, so that parseLine finds all mistakes. FuzzPlain compares the two.
//
// The numbers of an address have one to three digits, so a loop over them mispredicts every other branch. Here the ends
// of all four numbers are found in sixteen bytes at once, and mistakes are collected in invalid.
func (p *parser) parsePlainLine(data []byte) int {
	if len(data) == 0 || data[0]-'0' > 9 {
		return 0
	}
	from, to, n := parsePlain(data)
	if n == 0 {
		return 0
	}
	end := n
	if data[end] == '\r' {
		end++
	}
	if data[end] != '\n' {
		return 0
	}
	p.Line++
	p.nonBlank = true
	it := &p.plain // its other fields never change
	it.source, it.From, it.To, it.Line, it.Col, it.Width = data[:n], from, to, p.Line, 1, n
	return end + 1
}

// plainSize is how many bytes parsePlain needs: those of an address, a prefix length, and what is read at once.
const plainSize = 24

// parsePlain parses the IPv4 address or prefix that data begins with. n is its length; 0: it is not valid and plain.
func parsePlain(data []byte) (from, to netip.Addr, n int) {
	if len(data) < plainSize {
		return from, to, 0
	}
	ends := findNonDigits(binary.LittleEndian.Uint64(data)) | findNonDigits(binary.LittleEndian.Uint64(data[8:]))<<8
	if bits.OnesCount32(ends) < 4 {
		return from, to, 0
	}
	var addr, invalid uint32
	i, end := 0, 0 // where a number begins, and ends
	for part := range 4 {
		if end = bits.TrailingZeros32(ends); part < 3 {
			invalid |= uint32(data[end] ^ '.')
		}
		ends &= ends - 1
		n, wrong := parseNumber(data[i:], end-i)
		addr, invalid = addr<<8|n, invalid|wrong
		i = end + 1
	}
	if invalid != 0 {
		return from, to, 0
	}
	host := uint32(0) // the bits after the prefix
	if i = end; data[i] == '/' {
		n, wrong := parseNumber(data[i+1:], bits.TrailingZeros32(findNonDigits(binary.LittleEndian.Uint64(data[i+1:]))))
		// A wider one may be against the rules of the list.
		if wrong != 0 || n < 8 || n > 32 {
			return from, to, 0
		}
		if host = uint32(1)<<(32-n) - 1; addr&host != 0 {
			return from, to, 0
		}
		if i += 2; n >= 10 {
			i++
		}
	}
	return addr4(addr), addr4(addr | host), i
}

// findNonDigits returns eight bits, from the first byte to the last: whether it is not a digit.
func findNonDigits(bytes uint64) uint32 {
	const all = 0x0101010101010101
	b := bytes ^ '0'*all // 0 to 9 for digits
	above := ((b&(0x7f*all) + (0x7f-9)*all) | b) & (0x80 * all)
	return uint32(above >> 7 * 0x0102040810204080 >> 56)
}

// leastNumber is the least number with so many digits. In an address none has more than three.
var leastNumber = func() (l [32]uint32) {
	for digits := range l {
		l[digits] = 1 << 30
	}
	l[1], l[2], l[3] = 0, 10, 100
	return l
}()

// parseNumber parses the digits that data begins with. wrong is 0 if they are a valid part of an address: at most 255,
// without leading zeros.
func parseNumber(data []byte, digits int) (n, wrong uint32) {
	shift := uint(32 - 8*digits)
	b := binary.LittleEndian.Uint32(data)<<shift - 0x30303030<<shift // the last digit on top
	n = b>>8&0xff*100 + b>>16&0xff*10 + b>>24
	return n, n>>8 | (n-leastNumber[digits&31])>>31
}

func addr4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
}
