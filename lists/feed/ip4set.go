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

	"ehlogate/lists/answer"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
)

// readIP4Set reads an ip4set of rbldnsd(8).
//
// rbldnsd cuts each entry into pieces of 1, 2^8, 2^16 or 2^24 addresses. The smallest piece around an address decides, and
// of two equal ones the exclusion. That is the rule of a list, for pieces instead of entries; and the result is the same,
// except where an entry of several pieces meets one that says otherwise. There its pieces become entries, too.
//
// With a filter of answers all entries become pieces.
func readIP4Set(l *listfile.Lines, f Filtered) {
	s := ip4set{zone: newZone(l, f)}
	s.entry, s.take = s.parseEntry, s.takeEntry
	s.readEntries()
	s.yieldPieces()
}

type ip4set struct {
	zone
	pieced     []span4 // entries of several pieces
	exclusions []span4 // but for single addresses: nothing is smaller
	last       span4   // the entry that was parsed last
}

// span4 is an entry and its place.
type span4 struct {
	from, to         uint32
	exception        bool
	line, col, width int
}

func (s *ip4set) parseEntry(key word, exception bool) (items []*listfile.Item, end int, ok bool) {
	w := nextWord(s.Text, key.at, blanks+"#;:")
	from, to, msg := parseIP4Range(w.text)
	if msg == "" && s.maxRange > 0 && uint64(to-from) >= s.maxRange {
		msg = fmt.Sprintf("more than the %d addresses of $MAXRANGE4: rbldnsd ignores it", s.maxRange)
	}
	if msg != "" {
		skipAt(s.Lines, w, msg, "write an address, a prefix, their first octets as in 192.0.2, or a range as in 192.0.2.1-9")
		return nil, 0, false
	}
	if s.filter != (answer.Filter{}) {
		s.whole = newSpan(w, addr4(from), addr4(to))
		cutPieces(from, to, func(from, to uint32) { items = append(items, newSpan(w, addr4(from), addr4(to))) })
		return items, w.endOffset(), true
	}
	s.last = span4{from, to, exception, s.Line, w.at + 1, len(w.text)}
	return []*listfile.Item{newSpan(w, addr4(from), addr4(to))}, w.endOffset(), true
}

// takeEntry yields the entry that was parsed last. Its value is valid, else rbldnsd ignores it.
func (s *ip4set) takeEntry(it *listfile.Item) {
	e := s.last
	if e.exception && e.from != e.to {
		s.exclusions = append(s.exclusions, e)
	}
	if cutPieces(e.from, e.to, func(uint32, uint32) {}) > 1 {
		s.pieced = append(s.pieced, e)
	}
	s.Yield(it)
}

// yieldPieces yields the pieces of entries that overlap exclusions.
func (s *ip4set) yieldPieces() {
	slices.SortFunc(s.exclusions, func(a, b span4) int { return cmp.Compare(a.from, b.from) })
	last := make([]uint32, len(s.exclusions)) // address of the exclusions so far
	for i, x := range s.exclusions {
		if last[i] = x.to; i > 0 {
			last[i] = max(x.to, last[i-1])
		}
	}
	for _, e := range s.pieced {
		n := sort.Search(len(s.exclusions), func(i int) bool { return s.exclusions[i].from > e.to })
		if n == 0 || last[n-1] < e.from {
			continue // it overlaps none
		}
		cutPieces(e.from, e.to, func(from, to uint32) {
			s.Yield(&listfile.Item{Item: iptable.Item{Exception: e.exception, From: addr4(from), To: addr4(to), Line: e.line}, Col: e.col, Width: e.width, Part: true})
		})
	}
}

// cutPieces calls each for the pieces of a range, and returns their number.
func cutPieces(from, to uint32, each func(from, to uint32)) (n int) {
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

// parseIP4Range parses an address, a prefix or a range; msg is what is wrong. Octets that are left out at the end
// have any value. In a range such as 192.0.2.1-9 the single octet is the last one.
func parseIP4Range(s string) (from, to uint32, msg string) {
	first, last, isRange := strings.Cut(s, "-")
	first, length, isPrefix := strings.Cut(first, "/")
	from, n, msg := parseOctets(first)
	switch {
	case msg != "":
		return 0, 0, msg
	case isPrefix:
		bits, err := strconv.ParseUint(length, 10, 8)
		if err != nil || bits == 0 || bits > 32 || isRange {
			return 0, 0, fmt.Sprintf("invalid prefix %q", s)
		}
		to = from | hostMask(int(bits))
		if from&hostMask(int(bits)) != 0 {
			return 0, 0, fmt.Sprintf("%s/%d has host bits set: rbldnsd ignores it", addr4(from), bits)
		}
		return from, to, ""
	case !isRange && n == 1:
		return 0, 0, fmt.Sprintf("incomplete address %q: rbldnsd expects %s/8", s, s)
	case !isRange:
		return from, from | hostMask(8*n), ""
	}
	to, m, msg := parseOctets(last)
	switch {
	case msg != "":
		return 0, 0, msg
	case m == 1:
		to = from&^hostMask(8*n-8) | to>>(8*n-8)
	case m != n:
		return 0, 0, fmt.Sprintf("range from %d octets to %d octets", n, m)
	}
	if to |= hostMask(8 * n); to < from {
		return 0, 0, "range ends before it begins"
	}
	return from, to, ""
}

// parseOctets parses one to four octets, decimal also with leading zeros; n is their number. The others are 0.
func parseOctets(s string) (addr uint32, n int, msg string) {
	for o := range strings.SplitSeq(s, ".") {
		v, err := strconv.ParseUint(o, 10, 8)
		if err != nil || n == 4 {
			return 0, 0, fmt.Sprintf("invalid address %q", s)
		}
		n++
		addr |= uint32(v) << (32 - 8*n)
	}
	return addr, n, ""
}

// hostMask returns the bits after a prefix of that length.
func hostMask(bits int) uint32 { return uint32(uint64(1)<<(32-bits) - 1) }

func addr4(a uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a)))
}
