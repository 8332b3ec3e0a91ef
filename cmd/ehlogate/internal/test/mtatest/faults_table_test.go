package mtatest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ehlogate/cmd/ehlogate/internal/test/mtatest"
)

// faultRow is one row of what was done to ehlogate, and what clients saw.
type faultRow struct {
	fault, through string
	times          int
	tally          mtatest.Tally
	before         time.Duration // p99
	peak           float64       // MiB
}

// faultTable collects the rows of a test.
type faultTable struct {
	heading string
	rows    []faultRow
}

// survivalTable holds those of all tests of this run, as one table.
type survivalTable struct{ groups []*faultTable }

// newFaultTable makes a part of the table, which is logged at the end of the test, and written with the other tables.
func newFaultTable(t *testing.T, heading string) *faultTable {
	s := &faultTable{heading: heading}
	t.Cleanup(func() { t.Log("\n" + (&survivalTable{[]*faultTable{s}}).markdown()) })
	tables.Lock()
	defer tables.Unlock()
	for _, t := range tables.all {
		if all, ok := t.(*survivalTable); ok {
			all.groups = append(all.groups, s)
			return s
		}
	}
	tables.all = append(tables.all, &survivalTable{[]*faultTable{s}})
	return s
}

func (s *faultTable) add(row faultRow) { s.rows = append(s.rows, row) }

func (s *survivalTable) markdown() string {
	var b strings.Builder
	b.WriteString("### Under load, with inherited sockets\n\n" +
		"Each row is at least 5,000 sessions of a real Postfix, eight at a time, while the fault is repeated. Wrong: an" +
		" answer that is neither that of the lists nor, while no process answered or for longer than a second, that of the backup. Inherited socket: it outlives the process (socket activation). After a kill the daemon starts again 100 ms later.\n\n")
	b.WriteString("| Fault | Queried through | Times | Sessions | Wrong | Without reply | By the backup | p99 before, ms | p99 during, ms | Peak RSS, MiB |\n")
	b.WriteString("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	slices.SortStableFunc(s.groups, func(a, b *faultTable) int { return strings.Compare(a.heading, b.heading) })
	for _, group := range s.groups {
		fmt.Fprintf(&b, "| **%s** | | | | | | | | | |\n", group.heading)
		for _, r := range group.rows {
			fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %.1f | %.1f | %.1f |\n", r.fault, r.through, r.times, r.tally.Sessions,
				r.tally.Wrong, r.tally.Unanswered, r.tally.Backup, ms(r.before), ms(r.tally.P99), r.peak)
		}
	}
	return b.String()
}
