package iptable

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// key4 and key6 are addresses as numbers, which the table compares.
type (
	key4 uint32
	key6 struct{ hi, lo uint64 }
)

// key has the operations that both address families need.
type key[K any] interface {
	comparable
	less(K) bool
	minus(K) K
	increment() (K, bool) // the next address; false after the last one
	toAddr() netip.Addr
}

func compareKeys[K key[K]](a, b K) int {
	switch {
	case a.less(b):
		return -1
	case b.less(a):
		return 1
	}
	return 0
}

func key4Of(a netip.Addr) key4 {
	b := a.As4()
	return key4(binary.BigEndian.Uint32(b[:]))
}

func key6Of(a netip.Addr) key6 {
	b := a.As16()
	return key6{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key4) toAddr() netip.Addr {
	return netip.AddrFrom4([4]byte{byte(k >> 24), byte(k >> 16), byte(k >> 8), byte(k)})
}

func (k key6) toAddr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	return netip.AddrFrom16(b)
}

func (k key4) less(o key4) bool        { return k < o }
func (k key4) minus(o key4) key4       { return k - o }
func (k key4) increment() (key4, bool) { return k + 1, k+1 != 0 }

func (k key6) less(o key6) bool { return k.hi < o.hi || k.hi == o.hi && k.lo < o.lo }

func (k key6) minus(o key6) key6 {
	lo, borrow := bits.Sub64(k.lo, o.lo, 0)
	hi, _ := bits.Sub64(k.hi, o.hi, borrow)
	return key6{hi, lo}
}

func (k key6) increment() (key6, bool) {
	lo, carry := bits.Add64(k.lo, 1, 0)
	hi := k.hi + carry
	return key6{hi, lo}, hi|lo != 0
}

// lastOf returns the last address of the prefix of that length that begins at k.
func (k key6) lastOf(bits int) key6 {
	// A shift by 64 or more leaves nothing.
	return key6{k.hi | ^uint64(0)>>min(bits, 64), k.lo | ^uint64(0)>>max(bits-64, 0)}
}
