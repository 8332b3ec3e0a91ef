package benchmarks

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/gaissmai/bart"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/listfile"
	"ehlogate/lists/test/listtest"
)

// hole is the value of what a bart table does not hold.
const exception int32 = -1

// TestLookup compares our table with bart's and netipx's.
func TestLookup(t *testing.T) {
	n := pick(1_000_000, 2_000)
	t.Run("hosts", func(t *testing.T) { compareLookups(t, "a million addresses", listtest.Hosts(n), true) })
	t.Run("mixed", func(t *testing.T) { compareLookups(t, "a million mixed entries", listtest.Mixed(n), false) })
}

func compareLookups(t *testing.T, group string, entries []listtest.Entry, exact bool) {
	path := filepath.Join(tempDir(t), "deny.list")
	write(t, path, listtest.Format(entries))
	ours := readTable(t, path)
	trie, fast := new(bart.Table[int32]), new(bart.Fast[int32])
	fillTable(entries, trie.Insert)
	fillTable(entries, fast.Insert)
	set := ipset(t, entries)

	// They do not mean quite the same. A range is several prefixes for bart,
	// so that a part of it may be narrower than something that is narrower
	// than all of it; and a set knows no entry in an exception. Such addresses are
	// not asked about.
	var qs []netip.Addr
	held, differ := 0, 0
	all := distinct(listtest.Clients(entries, pick(3<<20, 8_000)), pick(5<<18, 4_000))
	for _, a := range all {
		_, status := ours.Lookup(lists.Client{Addr: a}, time.Now)
		id, ok := trie.Lookup(a)
		if want := status == lists.Matched; want != (ok && id != exception) || want != set.Contains(a) {
			differ++
			continue
		}
		qs = append(qs, a)
	}
	if exact && differ > 0 || differ > len(all)/50 {
		t.Fatalf("about %d of %d addresses they differ", differ, len(all))
	}
	qs = qs[:min(len(qs), 1<<20)]
	for _, a := range qs {
		if set.Contains(a) {
			held++
		}
	}
	t.Logf("%d questions, %d of them held; %d about which they differ were left out of %d", len(qs), held, differ, len(all))

	runtime.GC()
	measure := func(count func() int) func() float64 {
		return func() float64 { return lookupTime(t, len(qs), held, count) }
	}
	mine := side{"ehlogate", measure(func() int { return countTable(ours, qs) })}
	compare(t, group, "lookup", "ns", 0.5, pick(7, 1), mine, side{"bart.Table", measure(func() int { return countTrie(trie, qs) })})
	compare(t, group, "lookup", "ns", 0, pick(3, 1), mine, side{"bart.Fast", measure(func() int {
		count := 0
		for _, a := range qs {
			if id, ok := fast.Lookup(a); ok && id != exception {
				count++
			}
		}
		return count
	})})
	compare(t, group, "lookup", "ns", 0, pick(3, 1), mine, side{"netipx.IPSet", measure(func() int {
		count := 0
		for _, a := range qs {
			if set.Contains(a) {
				count++
			}
		}
		return count
	})})
}

// lookupTime gives the nanoseconds of one of n lookups, by the clock of our
// own thread: nothing here waits, and what else the machine does meanwhile is
// not to count. count makes the lookups and says how many hold.
func lookupTime(t testing.TB, n, held int, count func() int) float64 {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var begun, ended unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &begun); err != nil {
		t.Fatal(err)
	}
	got := count()
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ended); err != nil {
		t.Fatal(err)
	}
	if got != held {
		t.Errorf("%d of %d addresses are held, expected %d", got, n, held)
	}
	return float64(ended.Nano()-begun.Nano()) / float64(n)
}

func countTable(table *iptable.Table, qs []netip.Addr) (held int) {
	for _, a := range qs {
		if _, status := table.Lookup(lists.Client{Addr: a}, time.Now); status == lists.Matched {
			held++
		}
	}
	return held
}

func countTrie(table *bart.Table[int32], qs []netip.Addr) (held int) {
	for _, a := range qs {
		if id, ok := table.Lookup(a); ok && id != exception {
			held++
		}
	}
	return held
}

func readTable(t testing.TB, path string) *iptable.Table {
	t.Helper()
	l, err := listfile.New(listfile.Spec{Patterns: []string{path}, Rules: listfile.Rules{Action: lists.Suppress}}, time.Now).Load()
	if err != nil {
		t.Fatal(err)
	}
	return l.Table()
}

// fillTable gives entries to a table in which the longest prefix wins: ranges
// first and exceptions last, so that at equal span what should win is there.
func fillTable(entries []listtest.Entry, insert func(netip.Prefix, int32)) {
	for id, e := range entries {
		if e.Bits < 0 {
			for _, p := range netipx.IPRangeFrom(e.From, e.To).Prefixes() {
				insert(p, int32(id))
			}
		}
	}
	for id, e := range entries {
		if e.Bits >= 0 && !e.Exception {
			insert(netip.PrefixFrom(e.From, e.Bits), int32(id))
		}
	}
	for _, e := range entries {
		if e.Exception {
			insert(netip.PrefixFrom(e.From, e.Bits), exception)
		}
	}
}

// readTrie is the least that makes a table of a file of addresses.
func readTrie(t *testing.T, path string) *bart.Table[int32] {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, lines := new(bart.Table[int32]), bufio.NewScanner(f)
	for id := int32(0); lines.Scan(); id++ {
		a, err := netip.ParseAddr(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		table.Insert(netip.PrefixFrom(a, a.BitLen()), id)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return table
}

func ipset(t testing.TB, entries []listtest.Entry) *netipx.IPSet {
	t.Helper()
	var b netipx.IPSetBuilder
	for _, e := range entries {
		if !e.Exception {
			b.AddRange(netipx.IPRangeFrom(e.From, e.To))
		}
	}
	for _, e := range entries {
		if e.Exception {
			b.RemoveRange(netipx.IPRangeFrom(e.From, e.To))
		}
	}
	set, err := b.IPSet()
	if err != nil {
		t.Fatal(fmt.Errorf("making a set: %w", err))
	}
	return set
}

// distinct gives at most n of the addresses, each once, in random order.
func distinct(addrs []netip.Addr, n int) []netip.Addr {
	seen := make(map[netip.Addr]bool, n)
	var out []netip.Addr
	for _, a := range addrs {
		if !seen[a] && len(out) < n {
			seen[a] = true
			out = append(out, a)
		}
	}
	return shuffled(out)
}

func shuffled(addrs []netip.Addr) []netip.Addr {
	r := rand.New(rand.NewPCG(7, uint64(len(addrs))))
	r.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs
}
