package file

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/file/filetest"
)

// sizes of the lists of benchmarks; cmd/ehlogate/internal/bench compares with
// other programs.
var benchLists = []struct {
	name    string
	entries func(n int) []filetest.Entry
}{{"hosts", filetest.Hosts}, {"mixed", filetest.Mixed}}

func benchSpec(b *testing.B, entries []filetest.Entry) Spec {
	path := filepath.Join(b.TempDir(), "bench.list")
	if err := os.WriteFile(path, []byte(filetest.Text(entries)), 0o644); err != nil {
		b.Fatal(err)
	}
	return Spec{Patterns: []string{path}, Rules: Rules{Action: lists.Suppress}}
}

func BenchmarkRead(b *testing.B) {
	for _, l := range benchLists {
		b.Run(l.name, func(b *testing.B) {
			const n = 1_000_000
			spec := benchSpec(b, l.entries(n))
			for b.Loop() {
				if _, err := Read(spec); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, l := range benchLists {
		b.Run(l.name, func(b *testing.B) {
			entries := l.entries(1_000_000)
			table, err := Read(benchSpec(b, entries))
			if err != nil {
				b.Fatal(err)
			}
			questions := filetest.Questions(entries, 1<<20)
			held, i := 0, 0
			for b.Loop() {
				id, status := table.Lookup(lists.Client{Addr: questions[i&(1<<20-1)]}, time.Now)
				held += int(status)
				// No question before the answer to the one before, as in life:
				// the shift gives 0, which the processor cannot know.
				i += 1 + int(id>>31)
			}
			if held == 0 {
				b.Fatal("nothing is held")
			}
		})
	}
}
