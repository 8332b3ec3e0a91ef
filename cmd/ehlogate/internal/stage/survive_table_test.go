package stage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/stage"
)

// survival is one row of what was done to ehlogate, and what clients saw.
type survival struct {
	fault, through string
	times          int
	tally          stage.Tally
	before         time.Duration // p99
	peak           float64       // MiB
}

// survivals collects the rows of a test.
type survivals struct {
	heading string
	rows    []survival
}

// newSurvivals makes a table that is logged at the end of the test, and written with the others.
func newSurvivals(t *testing.T, heading string) *survivals {
	s := &survivals{heading: heading}
	t.Cleanup(func() { t.Log("\n" + s.markdown()) })
	tables.Lock()
	defer tables.Unlock()
	tables.all = append(tables.all, s)
	return s
}

func (s *survivals) add(row survival) { s.rows = append(s.rows, row) }

func (s *survivals) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", s.heading)
	b.WriteString("| Fault | Asked through | Times | Sessions | Wrong | Without reply | By the backup | p99 before, ms | p99 during, ms | Peak RSS, MiB |\n")
	b.WriteString("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, r := range s.rows {
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %.1f | %.1f | %.1f |\n", r.fault, r.through, r.times, r.tally.Sessions,
			r.tally.Wrong, r.tally.Unanswered, r.tally.Backup, ms(r.before), ms(r.tally.P99), r.peak)
	}
	return b.String()
}
