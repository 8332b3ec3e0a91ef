package export

import (
	"bufio"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
	"slices"
	"sort"

	"go4.org/netipx"
)

// The shape of the blocks. With 120,000 addresses Postfix visits 35 lines for a client on average, and 66 at most, and the
// table has a third more lines: wider blocks make more visits, narrower ones more lines.
const (
	// fan is how many groups a block divides its rules into.
	fan = 4
	// leafRules is up to how many rules stand in a block without blocks of their own.
	leafRules = 16
	// looseRules is up to how many rules of a group stand without a block around them.
	looseRules = 2
)

// windowRules is how many rules are in memory at a time, a variable for tests. A network with more is divided without knowing
// how many there are.
var windowRules = 1 << 16

// blockWriter writes the rules of a cidr_table(5) in nested blocks. Postfix enters a block if the client is in its network,
// and goes on behind it if no rule there matches, so that a lookup compares with a few rules, however many there are.
// The rules are disjoint and in order.
type blockWriter struct {
	out    *bufio.Writer
	next   func() (rule, bool)
	window []rule // the next ones
	isLast bool   // there are no others
	// hasBlocks means that a block was written, and before the first one a comment.
	hasBlocks bool
}

const aboutBlocks = `# The blocks (if, endif) make a lookup fast in Postfix 3.2 and later. Older versions skip these lines, with a warning for
# each, and decide the same: --format postfix-cidr-flat has none. Before Postfix 3.12, smtpd -v and proxymap -v end with
# "fatal: inet_ntop" at a table with blocks.
`

// writeBlocks writes rules in nested blocks.
func writeBlocks(out *bufio.Writer, rules iter.Seq[rule]) {
	next, stop := iter.Pull(rules)
	defer stop()
	w := &blockWriter{out: out, next: next}
	for _, all := range families {
		w.writeWithin(all)
	}
}

// writeRules writes rules one after the other.
func writeRules(out *bufio.Writer, rules iter.Seq[rule]) {
	for r := range rules {
		writeRule(out, r)
	}
}

func writeRule(out *bufio.Writer, r rule) { writeLine(out, r.AppendTo(out.AvailableBuffer()), r.value) }

// writeLine writes a key, which is in the buffer of out, and its value.
func writeLine(out *bufio.Writer, key []byte, value string) {
	out.Write(append(append(append(key, '\t'), value...), '\n'))
}

// fillWindow reads rules until the window is full.
func (w *blockWriter) fillWindow() {
	for len(w.window) < windowRules && !w.isLast {
		r, ok := w.next()
		if w.isLast = !ok; ok {
			w.window = append(w.window, r)
		}
	}
}

// countWithin returns how many rules of the window are within a network.
func (w *blockWriter) countWithin(p netip.Prefix) int {
	last := netipx.PrefixLastIP(p)
	return sort.Search(len(w.window), func(i int) bool { return last.Less(w.window[i].Addr()) })
}

// writeWithin writes the next rules, those within a network. If these are more than the window has, it divides the network
// in halves.
func (w *blockWriter) writeWithin(p netip.Prefix) {
	w.fillWindow()
	if n := w.countWithin(p); n < len(w.window) || w.isLast {
		w.writeBlock(w.window[:n])
		w.window = slices.Delete(w.window, 0, n)
		return
	}
	for _, half := range splitPrefix(p) {
		if w.fillWindow(); w.countWithin(half) > 0 {
			w.openBlock(half)
			w.writeWithin(half)
			w.closeBlock()
		}
	}
}

// writeBlock writes what is in a block. It divides the largest group of rules in two until there are as many groups as a
// block should have.
func (w *blockWriter) writeBlock(rules []rule) {
	if len(rules) <= leafRules {
		for _, r := range rules {
			writeRule(w.out, r)
		}
		return
	}
	ends := []int{len(rules)} // of the groups
	for len(ends) < fan {
		largest, from, size := 0, 0, 0
		for i, begin := 0, 0; i < len(ends); begin, i = ends[i], i+1 {
			if ends[i]-begin > size {
				largest, from, size = i, begin, ends[i]-begin
			}
		}
		if size == 1 {
			break
		}
		group := rules[from : from+size]
		upper := splitPrefix(networkOf(group))[1].Addr()
		ends = slices.Insert(ends, largest, from+sort.Search(size, func(i int) bool { return !group[i].Addr().Less(upper) }))
	}
	from := 0
	for _, end := range ends {
		if group := rules[from:end]; len(group) <= looseRules {
			writeRules(w.out, slices.Values(group))
		} else {
			w.openBlock(networkOf(group))
			w.writeBlock(group)
			w.closeBlock()
		}
		from = end
	}
}

func (w *blockWriter) openBlock(p netip.Prefix) {
	if !w.hasBlocks {
		w.hasBlocks = true
		w.out.WriteString(aboutBlocks)
	}
	fmt.Fprintf(w.out, "if %s\n", p)
}

func (w *blockWriter) closeBlock() { fmt.Fprintln(w.out, "endif") }

// networkOf returns the smallest network that has all of some rules, at least two.
func networkOf(rules []rule) netip.Prefix {
	first, last := rules[0].Addr(), rules[len(rules)-1].Addr()
	common := 0
	a, b := first.AsSlice(), last.AsSlice()
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			common += bits.LeadingZeros8(x)
			break
		}
		common += 8
	}
	return netip.PrefixFrom(first, common).Masked()
}
