package benchmarks

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaissmai/bart"

	"ehlogate/lists/iptable"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// cost is what a list of some size costs a program: nanoseconds for a lookup,
// seconds from file to answers, and MiB of memory.
type cost struct{ lookup, load, memory float64 }

// growing is a program at each of the sizes, as far as it goes.
type growing struct {
	name  string
	costs []cost
}

// sample is a list of n addresses, and what to ask about it.
type sample struct {
	n          int
	daemon     *daemon
	held, free netip.Addr
	qs         []netip.Addr
	in         []bool // which of qs are held
	hits       int
}

// TestGrowth shows how costs grow with the list. What is compared elsewhere
// in alternating rounds is measured here once, or a few times.
func TestGrowth(t *testing.T) {
	testenv.Needs(t, "rbldnsd")
	sizes := pick([]int{10_000, 100_000, 1_000_000, 10_000_000}, []int{500, 1_500})
	programs := []growing{{name: "ehlogate"}, {name: "bart.Table"}, {name: "rbldnsd"}, {name: "Postfix cidr:"}}
	for _, n := range sizes {
		s := newSample(t, n)
		for i, measure := range []func(*testing.T, *sample) cost{growDaemon, growTrie, growRbldnsd, growCIDR} {
			if i == 3 && n > 1_000_000 {
				continue // a lookup looks at every line
			}
			programs[i].costs = append(programs[i].costs, measure(t, s))
			runtime.GC()
		}
		os.Remove(s.daemon.list)
	}
	text := growthTable(sizes, programs)
	t.Log(text)
	table.Lock()
	table.appendix = append(table.appendix, text)
	table.Unlock()
	svg := growthPlot(sizes, programs)
	if path := os.Getenv("EHLOGATE_TEST_PLOT"); path != "" {
		write(t, path, svg)
	}
}

func newSample(t *testing.T, n int) *sample {
	entries := listtest.Hosts(n)
	s := &sample{n: n, daemon: newDaemon(t, "", listtest.Format(entries))}
	set := addresses(entries)
	s.held = entries[n-1].From
	s.free = set.notIn(s.held)
	s.qs = shuffled(listtest.Clients(entries, pick(1<<20, 2_000)))
	s.in = make([]bool, len(s.qs))
	for i, a := range s.qs {
		if s.in[i] = set.holds(a); s.in[i] {
			s.hits++
		}
	}
	return s
}

// someRounds measures a few times.
func someRounds(times int, measure func() float64) []float64 {
	var v []float64
	for range pick(times, 1) {
		v = append(v, measure())
	}
	return v
}

// bestRound is for what the rest of the machine can only make longer.
func bestRound(times int, measure func() float64) float64 {
	return slices.Min(someRounds(times, measure))
}

// loads is how often loading is measured.
func (s *sample) loads() int {
	if s.n > 1_000_000 {
		return 1
	}
	return 3
}

func growDaemon(t *testing.T, s *sample) cost {
	var c cost
	var table *iptable.Table
	c.load = bestRound(s.loads(), func() float64 {
		table = nil
		runtime.GC()
		begun := time.Now()
		table = readTable(t, s.daemon.list)
		return time.Since(begun).Seconds()
	})
	runtime.GC()
	c.lookup = bestRound(3, func() float64 {
		return lookupTime(t, len(s.qs), s.hits, func() int { return countTable(table, s.qs) })
	})
	server := servedDaemon(t, s.daemon)
	c.memory = server.start(t, s.held, s.free).steady
	server.stopServer(t)
	return c
}

func growTrie(t *testing.T, s *sample) cost {
	var c cost
	var before, after runtime.MemStats
	var table *bart.Table[int32]
	c.load = bestRound(s.loads(), func() float64 {
		table = nil
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		table = readTrie(t, s.daemon.list)
		return time.Since(begun).Seconds()
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	c.memory = float64(int64(after.HeapAlloc-before.HeapAlloc)) / (1 << 20)
	c.lookup = bestRound(3, func() float64 {
		return lookupTime(t, len(s.qs), s.hits, func() int { return countTrie(table, s.qs) })
	})
	return c
}

// asked gives questions from, and as many for a table that holds nothing but
// s.held, of which as many are held.
func (s *sample) asked(from, count int) (qs, same []netip.Addr, hits int) {
	for i := from; i < min(from+count, len(s.qs)); i++ {
		qs, same = append(qs, s.qs[i]), append(same, s.qs[i])
		if s.in[i] {
			same[len(same)-1] = s.held
			hits++
		}
	}
	return qs, same, hits
}

func growRbldnsd(t *testing.T, s *sample) cost {
	var c cost
	full := newRbldnsd(t, s.daemon.list)
	c.load = bestRound(s.loads(), func() float64 {
		m := full.start(t, s.held, s.free)
		c.memory = m.steady
		full.stopServer(t)
		return m.seconds
	})
	// Its lookups are what a question costs it more than with a list of one.
	path := filepath.Join(tempDir(t), "one.list")
	write(t, path, s.held.String()+"\n")
	one := newRbldnsd(t, path)
	for _, r := range []*rbldnsd{full, one} {
		r.start(t, s.held, s.free)
		defer r.stopServer(t)
	}
	round, size := 0, pick(40_000, 500)
	_, c.lookup, _ = quartiles(someRounds(7, func() float64 {
		qs, same, hits := s.asked(round*size, size)
		round++
		return (full.flood(t, qs, hits) - one.flood(t, same, hits)) * 1e9 / float64(len(qs))
	}))
	return c
}

func growCIDR(t *testing.T, s *sample) cost {
	var c cost
	text, err := os.ReadFile(s.daemon.list)
	if err != nil {
		t.Fatal(err)
	}
	p := newPostmap(t)
	full, one := p.table(t, "full", string(text)), p.table(t, "one", s.held.String()+"\n")
	c.memory = p.memory(t, full, s.held)
	seconds := func(table string, qs []netip.Addr, want int) float64 {
		took, held := p.queryMap(t, table, qs)
		if held != want {
			t.Fatalf("cidr: holds %d of %d addresses, expected %d", held, len(qs), want)
		}
		return took
	}
	// Fewer questions where each takes long, and less the time to load.
	qs, same, hits := s.asked(0, max(100, 200_000_000/s.n))
	first := []netip.Addr{s.held}
	c.load = bestRound(3, func() float64 { return seconds(full, first, 1) })
	none := seconds(one, same, hits) - seconds(one, first, 1)
	c.lookup = (seconds(full, qs, hits) - c.load - none) * 1e9 / float64(len(qs))
	return c
}

// growthTable is the table in Markdown.
func growthTable(sizes []int, programs []growing) string {
	var b strings.Builder
	b.WriteString("### How cost grows\n\n| | Addresses |")
	for _, p := range programs {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	b.WriteString("\n|---|---:|" + strings.Repeat("---:|", len(programs)) + "\n")
	for _, what := range costs {
		for i, n := range sizes {
			fmt.Fprintf(&b, "| %s, %s | %d |", what.name, what.unit, n)
			for _, p := range programs {
				b.WriteString(" " + figure(what.of, p, i) + " |")
			}
			b.WriteString("\n")
		}
	}
	b.WriteString(growthNote)
	return b.String()
}

const growthNote = `
About half of the lookups are of addresses in the list. Those of ehlogate and bart, and the way from the file to a table, are timed
in a process that does nothing else; bart's file is read by the least that does it. Memory is what is resident of a process
that serves, for bart what is in use of the heap. For rbldnsd, a lookup is the CPU time of a question by DNS, less that with a
list of one address; for cidr:, the time that postmap takes, less loading and less the same with a table of one address; both
take "file to answers" from the start of the process.
`

// costs are the kinds of cost, in units for reading.
var costs = []struct {
	name, unit string
	title      string // of its panel in the plot
	of         func(cost) float64
}{
	{"lookup", "ns", "Lookup, ns", func(c cost) float64 { return c.lookup }},
	{"file to answers", "ms", "File to answers, ms", func(c cost) float64 { return c.load * 1000 }},
	{"memory", "MiB", "Memory, MiB", func(c cost) float64 { return c.memory }},
}

func figure(of func(cost) float64, p growing, i int) string {
	if i >= len(p.costs) {
		return "-"
	}
	v := of(p.costs[i])
	if v <= 0 { // a difference of two figures that are nearly the same
		return "(nothing)"
	}
	return number(v)
}
