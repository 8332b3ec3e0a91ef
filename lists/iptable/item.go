package iptable

import (
	"math/bits"
	"net/netip"
	"strings"
	"time"
)

// Kind is the part of a client that an entry is compared with.
type Kind uint8

// The kinds, in the order in which they are looked up.
const (
	Address Kind = iota
	Name
	HELO
	Domain // a host name, and all below it: all host names of a table are of this kind, or none
)

// Item is one entry of a list.
type Item struct {
	Kind      Kind
	Exception bool
	From, To  netip.Addr // Kind Address: first and last address, unmapped
	// Name is the host or HELO name, normalized. Of another kind than Domain, with a leading dot it stands for all names below it; a lone dot
	// stands for every name.
	Name  string
	Until time.Time // the first instant at which the entry has expired; zero: never
	Note  string
	Line  int // in its file
}

func (it Item) String() string {
	var few [64]byte // nearly all fit, so that only the result is allocated
	return string(it.appendTo(few[:0]))
}

func (it *Item) appendTo(b []byte) []byte {
	if it.Exception {
		b = append(b, '!')
	}
	switch {
	case it.Kind == HELO && strings.HasPrefix(it.Name, "."):
		return append(append(b, "helo:*"...), strings.TrimSuffix(it.Name, ".")...)
	case it.Kind == HELO:
		return append(append(b, "helo:"...), it.Name...)
	case it.Kind == Name || it.Kind == Domain:
		return append(b, it.Name...)
	case it.From == it.To:
		return it.From.AppendTo(b)
	}
	if p, ok := it.prefix(); ok {
		return p.AppendTo(b)
	}
	return it.To.AppendTo(append(it.From.AppendTo(b), '-'))
}

// prefix returns the prefix that has exactly the addresses of the entry.
func (it *Item) prefix() (p netip.Prefix, ok bool) {
	if it.From.Is4() {
		from := key4Of(it.From)
		host := from ^ key4Of(it.To)
		return netip.PrefixFrom(it.From, bits.LeadingZeros32(uint32(host))), host&(host+1)|from&host == 0
	}
	from, to := key6Of(it.From), key6Of(it.To)
	host := key6{from.hi ^ to.hi, from.lo ^ to.lo}
	n := bits.LeadingZeros64(host.hi)
	if n == 64 {
		n += bits.LeadingZeros64(host.lo)
	}
	return netip.PrefixFrom(it.From, n), host == key6{}.lastOf(n) && from.hi&host.hi|from.lo&host.lo == 0
}

func (it *Item) Expired(now time.Time) bool {
	return !it.Until.IsZero() && !now.Before(it.Until)
}
