package export

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"net/netip"

	"go4.org/netipx"
)

const (
	// maxEnumerated is how many addresses a range may have that are written one by one.
	maxEnumerated = 256
	// maxAddressLines bounds a table of addresses.
	maxAddressLines = 20_000_000
)

// splitRange is a range of addresses of a policy, and the value that the table of its networks has for them.
type splitRange struct {
	decidedRange[string]
	network string
	// isSmall means that the addresses are written one by one where the two values differ.
	isSmall bool
}

// splitRanges divides a policy between two tables: one of addresses, which Postfix searches first, and one of networks. To
// the networks, a small range is as the addresses before it.
func splitRanges(ranges iter.Seq[decidedRange[string]], byDefault string) iter.Seq[splitRange] {
	return func(yield func(splitRange) bool) {
		network := byDefault
		for r := range ranges {
			isSmall := countAddresses(r.IPRange) <= maxEnumerated
			if !isSmall {
				network = r.value
			}
			if !yield(splitRange{r, network, isSmall}) {
				return
			}
		}
	}
}

// networksOf returns the ranges that the table of networks has.
func networksOf(split iter.Seq[splitRange]) iter.Seq[decidedRange[string]] {
	return func(yield func(decidedRange[string]) bool) {
		var last decidedRange[string]
		for s := range split {
			if last.IsValid() && last.value == s.network && last.From().Is4() == s.From().Is4() {
				last.IPRange = netipx.IPRangeFrom(last.From(), s.To())
				continue
			}
			if last.IsValid() && !yield(last) {
				return
			}
			last = decidedRange[string]{s.IPRange, s.network}
		}
		yield(last)
	}
}

// countAddresses returns how many addresses a range has, at most maxEnumerated+1.
func countAddresses(r netipx.IPRange) int {
	from, to := r.From().As16(), r.To().As16() // of IPv4, IPv4-mapped
	if [8]byte(from[:]) != [8]byte(to[:]) {
		return maxEnumerated + 1
	}
	return int(min(binary.BigEndian.Uint64(to[8:])-binary.BigEndian.Uint64(from[8:]), maxEnumerated)) + 1
}

// WritePostfixAddresses writes the source of a table that postmap(1) makes: each line has a whole address, which is all that
// smtpd looks up there. It fails if networks remain, unless p.WithoutNetworks leaves them to WritePostfixNetworks, and as
// WritePostfixCIDR does.
func (p *Policy) WritePostfixAddresses(ctx context.Context, to io.Writer) error {
	p, values, err := p.prepareValues()
	if err != nil {
		return err
	}
	lines, networks := 0, 0
	var first netip.Prefix
	for s := range p.splitRanges(ctx, values) {
		if s.isSmall && s.value != s.network {
			lines += countAddresses(s.IPRange)
		} else if !s.isSmall && s.value != "" && !p.WithoutNetworks {
			prefixes := s.Prefixes()
			if networks == 0 {
				first = prefixes[0]
			}
			networks += len(prefixes)
		}
	}
	if networks > 0 {
		return fmt.Errorf("a table of addresses cannot have networks of more than %d addresses, such as %s (%d of them): write a table of --format %s, "+
			"or two tables: --networks FILE writes these into one of --format %s", maxEnumerated, first, networks, PostfixCIDR, PostfixNetworks)
	}
	if lines > maxAddressLines {
		return fmt.Errorf("a table of addresses would have %d lines, and can have %d: write a table of --format %s", lines, maxAddressLines, PostfixCIDR)
	}
	out := bufio.NewWriterSize(to, 1<<16)
	use := []string{`run "postmap cdb:FILE" (or lmdb) after every change: a running smtpd notices it`}
	if p.WithoutNetworks {
		use = append(use, "behind it belongs the table of --format "+PostfixNetworks+": cdb:FILE, cidr:NETWORKS")
	}
	p.writeHeader(out, PostfixAddresses, use...)
	for s := range p.splitRanges(ctx, values) {
		if !s.isSmall || s.value == s.network {
			continue
		}
		for addr := s.From(); ; addr = addr.Next() {
			writeLine(out, appendAddress(out.AvailableBuffer(), addr), cmp.Or(s.value, values.offer))
			if addr == s.To() {
				break
			}
		}
	}
	return out.Flush()
}

func (p *Policy) splitRanges(ctx context.Context, values *valueNames) iter.Seq[splitRange] {
	return splitRanges(decideRanges(ctx, p, values.nameOf), values.byDefault)
}

// WritePostfixNetworks writes a cidr_table(5) with what WritePostfixAddresses leaves out, to stand behind that table. It
// fails as WritePostfixCIDR does.
func (p *Policy) WritePostfixNetworks(ctx context.Context, out io.Writer) error {
	p, values, err := p.prepareValues()
	if err != nil {
		return err
	}
	return p.writeRanges(out, PostfixNetworks, values, networksOf(p.splitRanges(ctx, values)), writeBlocks,
		"it stands behind the table of addresses: cdb:FILE, cidr:NETWORKS",
		`run "postmap cdb:FILE" after every change, and a running smtpd reads both; with lmdb, run "postfix reload" too`)
}

// appendAddress appends an address as inet_ntop(3) writes it, and so Postfix: the last 32 bits of ::192.0.2.1 are as in IPv4.
func appendAddress(b []byte, addr netip.Addr) []byte {
	a := addr.As16()
	if addr.Is6() && [12]byte(a[:]) == [12]byte{} && (a[12] != 0 || a[13] != 0) {
		return netip.AddrFrom4([4]byte(a[12:])).AppendTo(append(b, "::"...))
	}
	return addr.AppendTo(b)
}
