package listfile

import (
	"math/bits"
	"net/netip"
	"strings"
	"time"
)

// Kind is what part of a client an entry is about.
type Kind uint8

// The kinds, in the order in which they are asked.
const (
	Address Kind = iota
	Name
	HELO
)

// Item is one entry of a list file.
type Item struct {
	Kind     Kind
	Hole     bool
	From, To netip.Addr // Kind Address: the span, both ends in it, unmapped
	// Name is the host or HELO name in normal spelling. With a leading dot it
	// stands for all names below it; a lone dot is every name.
	Name  string
	Until time.Time // the first instant at which it no longer counts; zero: never
	Note  string

	Line, Col, Width int    // where the entry stands
	text             []byte // the line, as long as Parse calls back
}

// StandsIn says in which line an entry stands. The text is looked at until
// the entry was given.
func (it *Item) StandsIn(line int, text []byte) { it.Line, it.text = line, text }

// String gives the entry in its normal spelling.
func (it Item) String() string { return string(it.append(nil)) }

// append appends the entry in its normal spelling.
func (it *Item) append(b []byte) []byte {
	if it.Hole {
		b = append(b, '!')
	}
	switch it.Kind {
	case Address:
		return appendSpan(b, it.From, it.To)
	case HELO:
		return append(append(b, "helo:"...), heloText(it.Name)...)
	}
	return append(b, it.Name...)
}

func heloText(name string) string {
	if strings.HasPrefix(name, ".") {
		return strings.TrimSuffix("*"+name, ".")
	}
	return name
}

// appendSpan writes a span as an address, a prefix or a range.
func appendSpan(b []byte, from, to netip.Addr) []byte {
	if from == to {
		return from.AppendTo(b)
	}
	if n, ok := spanBits(from, to); ok {
		return netip.PrefixFrom(from, n).AppendTo(b)
	}
	return to.AppendTo(append(from.AppendTo(b), '-'))
}

// spanBits gives the length of the prefix that is exactly from..to.
func spanBits(from, to netip.Addr) (int, bool) {
	f, t := keyOf(from), keyOf(to)
	host := trailing(f.hi^t.hi, f.lo^t.lo)
	if host < 0 {
		return 0, false
	}
	if f.and(host) != (key6{}) || t.and(host) != maxKey6.and(host) {
		return 0, false
	}
	return from.BitLen() - host, true
}

// trailing gives n if hi:lo is 2^n-1, else -1.
func trailing(hi, lo uint64) int {
	n := bits.Len64(lo)
	if hi != 0 {
		n = 64 + bits.Len64(hi)
	}
	if (key6{hi, lo}) != maxKey6.and(n) {
		return -1
	}
	return n
}

// expired says whether the entry has ended by now.
func (it Item) expired(now time.Time) bool {
	return !it.Until.IsZero() && !now.Before(it.Until)
}
