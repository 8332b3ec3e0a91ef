package mtatest_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// delay is a row: what a fault of DNS did to the answers of ehlogate.
type delay struct {
	fault          string
	took           []time.Duration // each answer on the wire, from the question on
	stale          uint64          // answers of zones that counted though they were too old
	noticed        bool            // breakers were to open
	opened, closed time.Duration   // after the begin and the end of the fault
}

// delays collects the rows.
type delays struct {
	mu   sync.Mutex
	rows []delay
}

// newDelays makes a table that is logged at the end of the test, and written with the other tables.
func newDelays(t *testing.T) *delays {
	d := &delays{}
	t.Cleanup(func() { t.Log("\n" + d.markdown()) })
	tables.Lock()
	defer tables.Unlock()
	tables.all = append(tables.all, d)
	return d
}

func (d *delays) add(row delay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows = append(d.rows, row)
}

func (d *delays) markdown() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "### What happens to DNS: answers of ehlogate, of which none may wait for more than %d ms\n\n", dnsWait.Milliseconds())
	fmt.Fprintf(&b, "| Fault | Answers | p50, ms | p99, ms | Longest, ms | Later than %d ms | By old answers of zones |", (dnsWait + dnsGrace).Milliseconds())
	b.WriteString(" Breaker open after, s | Closed after its end, s |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	ms := func(q float64, of []time.Duration) string {
		return fmt.Sprintf("%.1f", float64(quantile(of, q).Microseconds())/1000)
	}
	for _, r := range d.rows {
		opened, closed := "", ""
		if r.noticed {
			opened, closed = fmt.Sprintf("%.1f", r.opened.Seconds()), fmt.Sprintf("%.1f", r.closed.Seconds())
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %d | %d | %s | %s |\n", r.fault, len(r.took), ms(0.5, r.took), ms(0.99, r.took), ms(1, r.took),
			longer(r.took, dnsWait+dnsGrace), r.stale, opened, closed)
	}
	return b.String()
}

// longer counts the values above a limit.
func longer(values []time.Duration, limit time.Duration) (n int) {
	for _, v := range values {
		if v > limit {
			n++
		}
	}
	return n
}

// quantile gives the smallest of the values that at least a share of them does not exceed; 0 for none.
func quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}
