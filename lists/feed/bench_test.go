package feed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ehlogate/lists"
	"ehlogate/lists/listfile"
)

// A million addresses, in the formats that have as many.
func BenchmarkRead(b *testing.B) {
	const n = 1_000_000
	for format, line := range map[Format]string{Addresses: "%s\t2026-11-24\n", RbldnsdIP4Set: "%s\n", IPSet: "add x %s\n", PostfixAccess: "%s REJECT\n"} {
		b.Run(string(format), func(b *testing.B) {
			var text strings.Builder
			if format == IPSet {
				text.WriteString("create x hash:ip\n")
			}
			for i := range uint32(n) {
				fmt.Fprintf(&text, line, addr4(i*2654435761))
			}
			name := filepath.Join(b.TempDir(), "feed")
			must(b, os.WriteFile(name, []byte(text.String()), 0o644))
			spec := listfile.Spec{Patterns: []string{name}, Format: format, Rules: listfile.Rules{Action: lists.Suppress}}
			b.ReportAllocs()
			for b.Loop() {
				_, err := listfile.New(spec, time.Now).Load()
				must(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
		})
	}
}
