package listfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/test/listtest"
	"ehlogate/lists/test/testenv"
)

// peak returns the most that the heap holds while a list is read, and what the
// table keeps of it.
func peak(t testing.TB, path string) (most, kept uint64) {
	t.Helper()
	return testenv.MeasureHeap(func() any { return loadWide(t, path) })
}

func loadWide(t testing.TB, path string) *List {
	t.Helper()
	l, err := New(Spec{Patterns: []string{path}, Rules: Rules{Action: lists.Suppress, AllowWide: true}}, time.Now).Load()
	if err != nil {
		t.Error(err)
	}
	return l
}

// shapes are lists of which all n entries can be made to expire.
var shapes = []struct {
	name  string
	lines func(n int) []string
}{
	{"mixed", func(n int) []string {
		return strings.Split(strings.TrimSpace(listtest.Format(listtest.Mixed(n))), "\n")
	}},
	{"hosts", func(n int) []string {
		return strings.Split(strings.TrimSpace(listtest.Format(listtest.Hosts(n))), "\n")
	}},
	{"hosts in networks", func(n int) []string {
		var lines []string
		for i := range 64 {
			lines = append(lines, fmt.Sprintf("10.%d.0.0/16", i))
		}
		for i := range n {
			lines = append(lines, addr4(10<<24+uint32(i)*7%(1<<22)).String())
		}
		return lines
	}},
	{"the same addresses", func(n int) []string {
		return some(n, func(i int) string { return addr4(10<<24 + uint32(i)%1000*7).String() })
	}},
	{"nested", func(n int) []string {
		return some(n, func(i int) string { return fmt.Sprintf("%s/%d", addr4(10<<24+uint32(i)>>3<<8), 24+i&7) })
	}},
	{"IPv6", func(n int) []string {
		return some(n, func(i int) string { return fmt.Sprintf("2001:db8:%x:%x::/64", i>>16, i&0xffff) })
	}},
}

func some(n int, line func(i int) string) (lines []string) {
	for i := range n {
		lines = append(lines, line(i))
	}
	return lines
}

// memoryOfUntil returns how many times as much memory a list takes while it is
// loaded if its last n entries expire.
func memoryOfUntil(t testing.TB, lines []string, n int) float64 {
	path := filepath.Join(t.TempDir(), "x.list")
	var most, kept [2]uint64
	for with := range most {
		var b strings.Builder
		for i, line := range lines {
			b.WriteString(line)
			if with == 1 && i >= len(lines)-n {
				b.WriteString(" until=" + epoch.Add(time.Duration(i%5000)*time.Hour).Format("2006-01-02T15:04:05Z"))
			}
			b.WriteByte('\n')
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		most[with], kept[with] = peak(t, path)
	}
	ratio := float64(most[1]) / float64(most[0])
	t.Logf("%d entries: %.1f MiB without until=, %.1f MiB with, %.2f times; %.1f and %.1f MiB are kept", n,
		float64(most[0])/(1<<20), float64(most[1])/(1<<20), ratio, float64(kept[0])/(1<<20), float64(kept[1])/(1<<20))
	return ratio
}

// An entry that expires takes little more memory while it is loaded than one that
// does not, however entries lie: about twice as much at most. The bound leaves room
// for the moment at which the garbage collector runs.
func TestMemoryOfUntil(t *testing.T) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			const n = 100_000
			if ratio := memoryOfUntil(t, shape.lines(n), n); ratio > 3 {
				t.Errorf("%.2f times the memory", ratio)
			}
		})
	}
}

func BenchmarkMemoryOfUntil(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			const n = 1_000_000
			lines := shape.lines(n)
			for b.Loop() {
				b.ReportMetric(memoryOfUntil(b, lines, n), "times")
			}
		})
	}
}
