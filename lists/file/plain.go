package file

import "net/netip"

// plain reads a line that is an IPv4 address or prefix and nothing else, as
// nearly all lines of long lists are, in a tenth of the time that it takes to
// tell what a line is. It gives up on anything that is not plainly right, so
// that there is one place where faults are found. FuzzParse compares the two.
func (p *parser) plain(line []byte) bool {
	n := len(line) - 1
	if n < 0 || line[n] != '\n' {
		return false
	}
	if n > 0 && line[n-1] == '\r' {
		n--
	}
	var (
		addr  uint32
		octet = uint32(0)
		from  = 0 // where the octet begins
		dots  = 0
		i     = 0
	)
	for ; i < n; i++ {
		c := line[i]
		if d := uint32(c - '0'); d <= 9 {
			if octet == 0 && i > from { // a leading zero
				return false
			}
			if octet = octet*10 + d; octet > 255 {
				return false
			}
			continue
		}
		if i == from {
			return false
		}
		if c == '/' {
			break
		}
		if c != '.' || dots == 3 {
			return false
		}
		addr, octet, from = addr<<8|octet, 0, i+1
		dots++
	}
	if dots != 3 || i == from {
		return false
	}
	addr = addr<<8 | octet
	host := uint32(0) // the bits behind the prefix
	if i < n {
		bits := uint32(0)
		for at := i + 1; at < n; at++ {
			d := uint32(line[at] - '0')
			if d > 9 || bits == 0 && at > i+1 || at > i+2 {
				return false
			}
			bits = bits*10 + d
		}
		// What is wider may be against the rules of the list.
		if bits < 8 || bits > 32 {
			return false
		}
		if host = uint32(1)<<(32-bits) - 1; addr&host != 0 {
			return false
		}
	}
	p.item = Item{text: line[:n], From: addr4(addr), To: addr4(addr | host), Line: p.line, Col: 1, Width: n}
	return true
}

func addr4(a uint32) netip.Addr { return key4(a).addr() }
