package maillog

import (
	"bytes"
	"testing"
	"time"

	"ehlogate/lists/test/logtest"
)

func BenchmarkRead(b *testing.B) {
	var written bytes.Buffer
	if err := logtest.WritePostfix(&written, 200_000, 50_000); err != nil {
		b.Fatal(err)
	}
	log := written.Bytes()
	lines := bytes.Count(log, []byte("\n"))
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(Options{Zone: time.UTC, Newest: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)}, func(*Session) {})
		for rest := log; len(rest) > 0; {
			end := bytes.IndexByte(rest, '\n')
			r.Read(rest[:end])
			rest = rest[end+1:]
		}
		r.Flush()
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mlines/s")
}
