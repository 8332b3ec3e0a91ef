package feed

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"ehlogate/lists/listfile"
)

// readIP4Set reads an ip4set of rbldnsd(8).
//
// rbldnsd cuts each entry into pieces of 1, 2^8, 2^16 or 2^24 addresses. The
// smallest piece around an address counts, and of two equal ones the exclusion.
// That is the rule of a list, for pieces instead of entries; and it comes to
// the same, except where an entry that is more than one piece meets one that
// says otherwise. There its pieces become entries beside itself.
func readIP4Set(l *listfile.Lines) {
	s := ip4set{zone: zone{Lines: l}}
	s.entry = s.read4
	s.read()
	s.cut()
}

type ip4set struct {
	zone
	pieced []span4 // entries of more than one piece
	holes  []span4 // but for single addresses, which nothing is smaller than
}

// span4 is an entry, and where it stands.
type span4 struct {
	from, to         uint32
	hole             bool
	line, col, width int
}

func (s *ip4set) read4(key word, hole bool) (items []*listfile.Item, end int, ok bool) {
	w := next(s.Text, key.at, blanks+"#;:")
	from, to, msg := ip4range(w.text)
	if msg == "" && s.maxRange > 0 && uint64(to-from) >= s.maxRange {
		msg = fmt.Sprintf("this is more than the %d addresses of $MAXRANGE4, so rbldnsd ignores it", s.maxRange)
	}
	if msg != "" {
		fail(s.Lines, w, msg, "write an address, a prefix, their first octets as in 192.0.2, or a range as in 192.0.2.1-9")
		return nil, 0, false
	}
	e := span4{from, to, hole, s.Line, w.at + 1, len(w.text)}
	if hole && from != to {
		s.holes = append(s.holes, e)
	}
	if pieces(from, to, func(uint32, uint32) {}) > 1 {
		s.pieced = append(s.pieced, e)
	}
	return []*listfile.Item{item(w, addr4(from), addr4(to))}, w.end(), true
}

// cut gives the pieces of entries where exclusions are.
func (s *ip4set) cut() {
	slices.SortFunc(s.holes, func(a, b span4) int { return cmp.Compare(a.from, b.from) })
	last := make([]uint32, len(s.holes)) // address of the holes so far
	for i, h := range s.holes {
		if last[i] = h.to; i > 0 {
			last[i] = max(h.to, last[i-1])
		}
	}
	for _, e := range s.pieced {
		n := sort.Search(len(s.holes), func(i int) bool { return s.holes[i].from > e.to })
		if n == 0 || last[n-1] < e.from {
			continue // it meets none
		}
		pieces(e.from, e.to, func(from, to uint32) {
			s.Yield(&listfile.Item{Hole: e.hole, From: addr4(from), To: addr4(to), Line: e.line, Col: e.col, Width: e.width})
		})
	}
}

// pieces says how many pieces a range has, and gives them to each.
func pieces(from, to uint32, each func(from, to uint32)) (n int) {
	for at := uint64(from); at <= uint64(to); n++ {
		size := uint64(1 << 24)
		for at%size != 0 || at+size-1 > uint64(to) {
			size >>= 8
		}
		each(uint32(at), uint32(at+size-1))
		at += size
	}
	return n
}

// ip4range reads an address, a prefix or a range; msg says what is wrong.
// Octets may be left out at the end: they stand for all that they can be.
// Behind a range such as 192.0.2.1-9 the single octet is the last one.
func ip4range(s string) (from, to uint32, msg string) {
	first, last, isRange := strings.Cut(s, "-")
	first, length, isPrefix := strings.Cut(first, "/")
	from, n, msg := octets(first)
	switch {
	case msg != "":
		return 0, 0, msg
	case isPrefix:
		bits, err := strconv.ParseUint(length, 10, 8)
		if err != nil || bits > 32 || isRange {
			return 0, 0, fmt.Sprintf("%q is no prefix", s)
		}
		to = from | host4(int(bits))
		if from&host4(int(bits)) != 0 {
			return 0, 0, fmt.Sprintf("%s has bits set behind /%d, so rbldnsd ignores it", addr4(from), bits)
		}
		return from, to, ""
	case !isRange && n == 1:
		return 0, 0, fmt.Sprintf("%q is too little for an address; rbldnsd wants %s/8", s, s)
	case !isRange:
		return from, from | host4(8*n), ""
	}
	to, m, msg := octets(last)
	switch {
	case msg != "":
		return 0, 0, msg
	case m == 1:
		to = from&^host4(8*n-8) | to>>(8*n-8)
	case m != n:
		return 0, 0, fmt.Sprintf("a range from %d octets to %d", n, m)
	}
	if to |= host4(8 * n); to < from {
		return 0, 0, "the range is backwards"
	}
	return from, to, ""
}

// octets reads one to n octets, the others being 0.
func octets(s string) (addr uint32, n int, msg string) {
	for o := range strings.SplitSeq(s, ".") {
		v, err := strconv.ParseUint(o, 10, 8)
		switch {
		case err != nil || n == 4:
			return 0, 0, fmt.Sprintf("%q is no address", s)
		case len(o) > 1 && o[0] == '0':
			return 0, 0, fmt.Sprintf("%q is no address: %s may be read as octal", s, o)
		}
		n++
		addr |= uint32(v) << (32 - 8*n)
	}
	return addr, n, ""
}

// host4 are the bits behind a prefix of that length.
func host4(bits int) uint32 { return uint32(uint64(1)<<(32-bits) - 1) }

func addr4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a)))
}
