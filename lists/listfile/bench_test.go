package listfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/iptable"
	"ehlogate/lists/test/listtest"
)

// sizes of the lists of benchmarks; cmd/ehlogate/internal/test/benchmarks compares with
// other programs.
var benchLists = []struct {
	name    string
	entries func(n int) []listtest.Entry
}{{"hosts", listtest.Hosts}, {"mixed", listtest.Mixed}}

func benchSpec(b *testing.B, entries []listtest.Entry) Spec {
	path := filepath.Join(b.TempDir(), "bench.list")
	if err := os.WriteFile(path, []byte(listtest.Format(entries)), 0o644); err != nil {
		b.Fatal(err)
	}
	return Spec{Patterns: []string{path}, Rules: Rules{Action: lists.Suppress}}
}

// readTable reads a list and returns its table.
func readTable(t testing.TB, spec Spec) *iptable.Table {
	t.Helper()
	l, err := New(spec, time.Now).Load()
	if err != nil {
		t.Fatal(err)
	}
	return l.Table()
}

func BenchmarkRead(b *testing.B) {
	for _, l := range benchLists {
		b.Run(l.name, func(b *testing.B) {
			const n = 1_000_000
			spec := benchSpec(b, l.entries(n))
			for b.Loop() {
				readTable(b, spec)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, l := range benchLists {
		b.Run(l.name, func(b *testing.B) {
			entries := l.entries(1_000_000)
			table := readTable(b, benchSpec(b, entries))
			questions := listtest.Clients(entries, 1<<20)
			matched, i := 0, 0
			for b.Loop() {
				id, status := table.Lookup(lists.Client{Addr: questions[i&(1<<20-1)]}, time.Now)
				matched += int(status)
				// A lookup begins after the one before, as with real clients: the shift
				// yields 0, which the processor cannot know.
				i += 1 + int(id>>31)
			}
			if matched == 0 {
				b.Fatal("no client matches")
			}
		})
	}
}

// A lookup of an address that many different temporary ranges are about takes as many
// steps; of one that repeated ones are about, few.
func BenchmarkLookupUntil(b *testing.B) {
	until := func(i int) string { return " until=" + epoch.Add(time.Duration(i)*time.Minute).Format(time.RFC3339) }
	for name, line := range map[string]func(i int) string{
		"ranges": func(i int) string {
			return addr4(10<<24+uint32(i)).String() + "-" + addr4(10<<24+1<<16+uint32(i)).String() + until(i)
		},
		"repeated": func(i int) string { return "10.0.0.0/8" + until(30000-i) },
		"hosts":    func(i int) string { return addr4(10<<24+1<<16-1500+uint32(i)).String() + until(i) },
	} {
		for _, n := range []int{1500, 30000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				var text strings.Builder
				for i := range n {
					text.WriteString(line(i) + "\n")
				}
				path := filepath.Join(b.TempDir(), "bench.list")
				if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
					b.Fatal(err)
				}
				table := readTable(b, Spec{Patterns: []string{path}, Rules: Rules{AllowWide: true}})
				c, now := lists.Client{Addr: addr4(10<<24 + 1<<16 - 1)}, func() time.Time { return epoch.Add(time.Minute) }
				for b.Loop() {
					if _, status := table.Lookup(c, now); status != lists.Matched {
						b.Fatal(status)
					}
				}
			})
		}
	}
}
